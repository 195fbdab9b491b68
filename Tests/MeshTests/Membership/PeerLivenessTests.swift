import TestSupport
import Testing

@testable import IorunMesh

@Suite("Whether a peer is alive")
struct PeerLivenessTests {
  /// A peer that was heard like clockwork for a minute, over a way of `roundTrip`; and when it spoke last.
  private func steady(roundTrip: Duration = .zero) -> (PeerLiveness, Duration) {
    let settings = PeerLiveness.Settings()
    var peer = PeerLiveness(settings, now: .zero)
    peer.measured(roundTrip: roundTrip)
    var now = Duration.zero
    for _ in 0..<120 {
      now += settings.heartbeat + roundTrip
      peer.heard(at: now)
    }
    return (peer, now)
  }

  /// The first moment after `start` at which the peer is in `state`, looked at 10 times a second.
  private func moment(
    _ peer: PeerLiveness, _ state: PeerLiveness.State, after start: Duration
  ) -> Duration? {
    for step in 0..<1000 {
      let now = start + .milliseconds(100) * step
      if peer.verdict(at: now).state == state { return now - start }
    }
    return nil
  }

  @Test("a silent one is suspect, then out of reach, in less than 3 s on a LAN and 5 s at 200 ms")
  func silence() throws {
    for (roundTrip, limit) in [
      (Duration.zero, Duration.seconds(3)), (.milliseconds(200), .seconds(5)),
    ] {
      let (peer, last) = steady(roundTrip: roundTrip)
      #expect(peer.verdict(at: last + .milliseconds(600) + roundTrip).state == .alive)
      let suspect = try #require(moment(peer, .suspect, after: last))
      let unreachable = try #require(moment(peer, .unreachable, after: last))
      #expect(suspect < unreachable && unreachable < limit, "\(roundTrip): \(unreachable)")
      #expect(peer.verdict(at: last + unreachable).reason?.contains("nobody reaches it") == true)
    }
  }

  @Test("one whose connection was closed in use and that does not come back is dead as soon")
  func killed() throws {
    for (roundTrip, limit) in [
      (Duration.zero, Duration.seconds(3)), (.milliseconds(200), .seconds(5)),
    ] {
      var (peer, last) = steady(roundTrip: roundTrip)
      let end = last + .milliseconds(400)
      peer.disconnected(at: end, wasClosed: true)
      #expect(peer.verdict(at: end).state == .suspect)
      // One that dials again, over a long way, is out of reach of nobody meanwhile.
      #expect(peer.verdict(at: end + .milliseconds(700) + roundTrip * 4).state == .suspect)
      let dead = try #require(moment(peer, .dead, after: end))
      #expect(dead < limit, "\(roundTrip): \(dead)")
      #expect(peer.verdict(at: end + dead).reason?.contains("agent has ended") == true)
      // It dialled again meanwhile.
      peer.connected()
      #expect(peer.verdict(at: end + .milliseconds(500)).state == .alive)
    }
  }

  @Test("a cut of 10 s kills nobody, nor does the end of a connection that was silent before")
  func partition() {
    var (peer, last) = steady()
    // Both sides give up the silent link; that of the other side is heard of when the cut heals.
    peer.disconnected(at: last + .seconds(5), wasClosed: false)
    #expect(peer.verdict(at: last + .milliseconds(5100)).state == .unreachable)
    #expect(peer.verdict(at: last + .seconds(9)).state == .unreachable)
    peer.disconnected(at: last + .seconds(10), wasClosed: true)
    #expect(peer.verdict(at: last + .seconds(17)).state == .unreachable)
    peer.heard(at: last + .seconds(18))
    #expect(peer.verdict(at: last + .seconds(18)).state == .alive)
    // The cut taught it nothing: the next silence is noticed as soon.
    #expect(peer.verdict(at: last + .seconds(21)).state == .unreachable)
    (peer, last) = steady()
    peer.disconnected(at: last + .seconds(4), wasClosed: true)
    #expect(peer.verdict(at: last + .seconds(19)).state == .unreachable)
    #expect(peer.verdict(at: last + .seconds(20)).state == .dead)
  }

  @Test("one that others still reach, or whose connection stands, is out of reach and not dead")
  func witnesses() {
    var (peer, last) = steady()
    for second in 3..<39 {
      peer.reached(by: "node-2", at: last + .seconds(second))
      let verdict = peer.verdict(at: last + .seconds(second))
      #expect(verdict.state == .unreachable && verdict.reason?.contains("node-2") == true)
    }
    #expect(peer.verdict(at: last + .seconds(40)).state == .dead)
    (peer, last) = steady()
    // A program that hangs: the process's own thread still answers.
    for second in 1..<4 {
      peer.heardBytes(at: last + .seconds(second))
      #expect(peer.verdict(at: last + .seconds(second)).state != .unreachable)
    }
    peer.heardBytes(at: last + .seconds(12))
    let verdict = peer.verdict(at: last + .seconds(12))
    #expect(verdict.state == .unreachable && verdict.reason?.contains("connection stands") == true)
  }

  @Test("one that gets no processor is not given up while its kernel acknowledges, for 10 s")
  func starved() throws {
    var (peer, last) = steady()
    for step in 1..<40 {
      let now = last + .milliseconds(250) * step
      // Asked each second; the word of it is half a second late.
      if step % 4 == 2 { peer.acknowledged(at: now - .milliseconds(500)) }
      let state = peer.verdict(at: now).state
      #expect(state == .alive || state == .suspect, "\(step)")
      // It is late all the same, and gets no new work.
      if step > 10 { #expect(state == .suspect) }
    }
    peer.acknowledged(at: last + .seconds(12))
    let verdict = peer.verdict(at: last + .seconds(12))
    #expect(verdict.state == .unreachable && verdict.reason?.contains("connection stands") == true)
    // Its word ends the matter.
    peer.heard(at: last + .seconds(13))
    #expect(peer.verdict(at: last + .seconds(13)).state == .alive)
  }

  @Test("one whose machine vanishes is found in 3 s, however long its kernel acknowledged before")
  func vanished() throws {
    var (peer, last) = steady()
    for second in 1...6 { peer.acknowledged(at: last + .seconds(second)) }
    let end = last + .seconds(6)
    #expect(peer.verdict(at: end).state == .suspect)
    let found = try #require(moment(peer, .unreachable, after: end))
    #expect(found < .seconds(3), "\(found)")
    // A kernel's acknowledgement is no proof that the program's end was a death in use.
    peer.disconnected(at: end + .milliseconds(100), wasClosed: true)
    #expect(peer.verdict(at: end + .seconds(5)).state == .unreachable)
  }

  @Test("an observer that is late itself blames itself for so much, and at most for 3 s")
  func lateObserver() {
    var (peer, last) = steady()
    var now = last
    // Looks each 800 ms and not each 250: half of the silence is its own.
    for _ in 0..<5 {
      now += .milliseconds(800)
      peer.excuse(.milliseconds(550), at: now)
      #expect(peer.verdict(at: now).state != .unreachable, "\(now - last)")
    }
    for _ in 0..<4 {
      now += .milliseconds(800)
      peer.excuse(.milliseconds(550), at: now)
    }
    #expect(peer.verdict(at: now).state == .unreachable, "nobody is excused for ever")
    #expect(peer.silence(at: now) == now - last, "fences count from its last word")
    // The next silence has an excuse of its own, which is not longer than the silence.
    peer.heard(at: now)
    peer.excuse(.seconds(2), at: now + .milliseconds(300))
    #expect(peer.verdict(at: now + .milliseconds(3500)).state == .unreachable)
  }

  @Test("a stalled observer blames itself")
  func stall() {
    var (peer, last) = steady()
    peer.disconnected(at: last + .seconds(30), wasClosed: true)
    peer.forgive(.seconds(30), at: last + .seconds(30))
    #expect(peer.verdict(at: last + .seconds(30)).state == .alive)
    // What the kernel had kept comes later: the end of a connection that the peer had given up.
    peer.disconnected(at: last + .seconds(30), wasClosed: true)
    #expect(peer.verdict(at: last + .seconds(39)).state == .suspect)
    #expect(peer.verdict(at: last + .seconds(41)).state == .unreachable)
    #expect(peer.verdict(at: last + .seconds(50)).state == .dead)
  }

  @Test(
    "200 ms, jitter and 1 % loss each way with its resends: no false death in 300,000 heartbeats")
  func loss() {
    var generator = SeededGenerator(seed: 4)
    var peer = PeerLiveness(now: .zero)
    peer.measured(roundTrip: .milliseconds(200))
    var now = Duration.zero
    var (deaths, alarms) = (0, 0)
    for _ in 0..<300_000 {
      // A lost segment is sent again after a timeout of about two round trips, which doubles.
      var delay = Duration.milliseconds(500 + 200 + Int.random(in: 0...20, using: &generator))
      var timeout = Duration.milliseconds(400)
      while Int.random(in: 0..<50, using: &generator) == 0 {
        delay += timeout
        timeout = timeout * 2
      }
      now += delay
      let verdict = peer.verdict(at: now).state
      if verdict == .dead { deaths += 1 }
      if verdict == .unreachable { alarms += 1 }
      peer.heard(at: now)
    }
    #expect(deaths == 0)
    // Four losses in a row may look like an outage of four seconds, once in weeks.
    #expect(alarms <= 1)
  }
}
