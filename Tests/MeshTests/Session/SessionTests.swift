import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// Two peers' conversation, packet by packet.
struct SessionTests {
  @Test func `nothing but open leaves before the other side has answered`() {
    var pair = SessionPair()
    pair.send([1])
    pair.tick()
    #expect(pair.anna.outgoing.map(\.kind) == [.open])
    #expect(pair.anna.outgoing[0].destinationIncarnation == 0)
  }

  @Test func `open is answered by accept, and then payloads flow`() {
    var pair = SessionPair()
    pair.send([1])
    pair.tick()
    pair.toBert(pair.anna.takeOutgoing())
    #expect(pair.bert.outgoing.map(\.kind).contains(.accept))
    #expect(pair.bert.session.remoteIncarnation == 11)
    pair.toAnna(pair.bert.takeOutgoing())
    #expect(pair.anna.session.remoteIncarnation == 22)
    pair.exchange()
    #expect(pair.bert.delivered == [[1]])
  }

  @Test func `open is repeated until it is answered`() {
    var pair = SessionPair()
    pair.tick()
    _ = pair.anna.takeOutgoing()
    pair.wait(.milliseconds(249))
    #expect(pair.anna.outgoing.isEmpty)
    pair.wait(.milliseconds(1))
    #expect(pair.anna.outgoing.map(\.kind) == [.open])
  }

  @Test func `payloads arrive in the order in which they were sent`() {
    var pair = SessionPair.established()
    for index: UInt8 in 0..<100 { pair.send([index]) }
    pair.exchange()
    #expect(pair.bert.delivered == (0..<100).map { [$0] })
  }

  @Test func `a duplicate is dropped, and answered with an acknowledgement`() {
    var pair = SessionPair.established()
    pair.send([1])
    let packets = pair.anna.takeOutgoing()
    pair.toBert(packets + packets)
    #expect(pair.bert.delivered == [[1]])
    pair.tick()
    #expect(pair.bert.outgoing.map(\.acknowledged) == [1])
  }

  @Test func `after a gap everything from the gap on is sent again`() {
    var pair = SessionPair.established()
    for index: UInt8 in 1...5 { pair.send([index]) }
    var packets = pair.anna.takeOutgoing()
    packets.remove(at: 1)
    pair.toBert(packets)
    #expect(pair.bert.delivered == [[1]])
    pair.tick()
    pair.exchange()
    pair.wait(.seconds(1))
    #expect(pair.anna.outgoing.compactMap(\.sequence) == [2, 3, 4, 5])
    pair.exchange()
    #expect(pair.bert.delivered == [[1], [2], [3], [4], [5]])
  }

  @Test func `a gap that is told is closed after the usual round trip, as often as it comes`() {
    var pair = SessionPair.established()
    // Round trips of 30 ms are measured.
    for index: UInt8 in 1...20 {
      pair.send([index])
      pair.now = pair.now + .milliseconds(10)
      pair.toBert(pair.anna.takeOutgoing())
      pair.wait(.milliseconds(20))
      pair.toAnna(pair.bert.takeOutgoing())
    }
    for index: UInt8 in 21...100 { pair.send([index]) }
    // The first of every sending is lost, ten times: without word of it each would wait for a timer
    // that doubles.
    let begun = pair.now
    for _ in 0..<10 {
      let sent = pair.anna.takeOutgoing()
      #expect(!sent.isEmpty)
      pair.toBert(Array(sent.dropFirst()))
      pair.tick()
      pair.toAnna(pair.bert.takeOutgoing())
      for _ in 0..<20 where pair.anna.outgoing.isEmpty { pair.wait(.milliseconds(10)) }
    }
    #expect(pair.now - begun < .seconds(2))
    pair.exchange()
    #expect(pair.bert.delivered == (1...100).map { [$0] })
  }

  @Test func `what came before its turn is kept, and not asked for again`() {
    var pair = SessionPair.established()
    for index: UInt8 in 1...100 { pair.send([index]) }
    var packets = pair.anna.takeOutgoing()
    let first = packets.removeFirst()
    packets.shuffle()
    pair.toBert(packets)
    #expect(pair.bert.delivered.isEmpty)
    pair.toBert([first] + packets)
    #expect(pair.bert.delivered == (1...100).map { [$0] })
    pair.tick()
    pair.exchange()
    pair.wait(.seconds(3))
    #expect(pair.anna.outgoing.allSatisfy { $0.sequence == nil })
  }

  @Test func `attack: what is kept before its turn is bounded in number and bytes`() {
    var channel = Channel(.actor)
    let now = MonotonicTime(nanoseconds: 0)
    let large = [UInt8](repeating: 1, count: 1 << 20)
    for sequence in 2...100 as ClosedRange<UInt64> {
      let isNext = channel.receive(sequence: sequence, payload: large, now: now)
      #expect(!isNext)
    }
    // What was granted, 8 MiB, is full: there is no room for the one that is missing, either.
    let isNext = channel.receive(sequence: 1, payload: large, now: now)
    #expect(!isNext)
    channel = Channel(.actor)
    _ = channel.receive(sequence: Channel.earlyLimit + 1, payload: [1], now: now)
    _ = channel.receive(sequence: .max, payload: [1], now: now)
    for sequence in 1...Channel.earlyLimit {
      let isNext = channel.receive(sequence: sequence, payload: [1], now: now)
      #expect(isNext)
    }
    let early = channel.takeEarly(now: now)
    #expect(early == nil)
  }

  @Test func `what is told once more while its answer is on its way is not sent again`() {
    var pair = SessionPair.established()
    for index: UInt8 in 1...20 {
      pair.send([index])
      pair.now = pair.now + .milliseconds(10)
      pair.toBert(pair.anna.takeOutgoing())
      pair.wait(.milliseconds(20))
      pair.toAnna(pair.bert.takeOutgoing())
    }
    pair.send([21])
    let first = pair.anna.takeOutgoing()
    // Copies of what has long arrived make the other side repeat itself.
    var old = first[0]
    old.kind = .data(sequence: 3, payload: [3])
    pair.toBert([old])
    pair.tick()
    pair.toAnna(pair.bert.takeOutgoing())
    pair.wait(.milliseconds(10))
    #expect(pair.anna.outgoing.isEmpty)
    pair.toBert(first)
    pair.wait(.milliseconds(20))
    pair.toAnna(pair.bert.takeOutgoing())
    pair.wait(.seconds(3))
    #expect(pair.anna.outgoing.allSatisfy { $0.sequence == nil })
  }

  @Test func `what a slow path still carries is not sent again`() {
    var pair = SessionPair.established()
    // A megabyte takes 8.4 s on a path of 1 Mbit/s: nothing is acknowledged before the first piece.
    for _ in 0..<4 { pair.send([UInt8](repeating: 7, count: 256 << 10), in: .bulk) }
    let onTheWay = pair.anna.takeOutgoing()
    for piece in onTheWay {
      for _ in 0..<21 {
        pair.wait(.milliseconds(100))
        #expect(pair.anna.takeOutgoing().compactMap(\.sequence) == [])
      }
      pair.toBert([piece])
      pair.wait(Channel.acknowledgementDelay)
      pair.toAnna(pair.bert.takeOutgoing())
    }
    #expect(pair.bert.delivered.count == 4)
  }

  @Test func `a large payload that is lost is sent again all the same`() {
    var pair = SessionPair.established()
    pair.send([UInt8](repeating: 7, count: 256 << 10), in: .bulk)
    _ = pair.anna.takeOutgoing()
    pair.wait(.seconds(4))
    #expect(pair.anna.outgoing.compactMap(\.sequence) == [1])
    pair.exchange()
    #expect(pair.bert.delivered.count == 1)
  }

  @Test func `classes do not hold each other up`() {
    var pair = SessionPair.established()
    pair.send([1], in: .bulk)
    _ = pair.anna.takeOutgoing()
    pair.send([2], in: .control)
    pair.exchange()
    #expect(pair.bert.delivered == [[2]])
  }

  @Test func `credit that is used up stops the sender, and consumed bytes let it go on`() {
    var pair = SessionPair.established()
    let megabyte = [UInt8](repeating: 0, count: 1 << 20)
    for _ in 0..<4 { pair.send(megabyte, in: .control) }
    pair.exchange()
    #expect(pair.bert.delivered.count == 2)
    for _ in 0..<20 {
      pair.wait(.milliseconds(500))
      pair.exchange()
    }
    #expect(pair.bert.delivered.count == 2)
    let now = pair.now
    pair.bert.session.consumed(1 << 20, in: .control, now: now)
    pair.tick()
    pair.exchange()
    #expect(pair.bert.delivered.count == 3)
    pair.bert.session.consumed(1 << 20, in: .control, now: now)
    pair.tick()
    pair.exchange()
    #expect(pair.bert.delivered.count == 4)
  }

  @Test func `a little room is announced too, where other calls hold the rest`() {
    var pair = SessionPair.established()
    pair.send([UInt8](repeating: 0, count: 900_000), in: .control)
    pair.send([UInt8](repeating: 0, count: 900_000), in: .control)
    pair.send([UInt8](repeating: 0, count: 400_000), in: .control)
    pair.send([UInt8](repeating: 0, count: 300_000), in: .control)
    pair.exchange()
    #expect(pair.bert.delivered.count == 2)
    pair.wait(.seconds(1))
    pair.exchange()
    let now = pair.now
    // Less than a quarter of the window.
    pair.bert.session.consumed(400_000, in: .control, now: now)
    pair.wait(.milliseconds(50))
    pair.exchange()
    #expect(pair.bert.delivered.count == 3)
  }

  @Test func `bytes that an earlier session received grow no credit`() {
    var pair = SessionPair.established()
    let now = pair.now
    pair.bert.session.consumed(100 << 20, in: .actor, now: now)
    pair.answer([1])
    #expect(pair.bert.outgoing.map(\.creditLimit) == [Channel.initialCredit(.actor)])
  }

  @Test func `payloads beyond the credit are not delivered to the application`() {
    var pair = SessionPair.established()
    let megabyte = [UInt8](repeating: 0, count: 1 << 20)
    for _ in 0..<2 { pair.send(megabyte, in: .control) }
    var packets = pair.anna.takeOutgoing()
    var extra = packets[1]
    extra.kind = .data(sequence: 3, payload: [1])
    packets.append(extra)
    pair.toBert(packets)
    #expect(pair.bert.delivered.count == 2)
  }

  @Test func `a payload takes the acknowledgement along`() {
    var pair = SessionPair.established()
    pair.send([1])
    pair.toBert(pair.anna.takeOutgoing())
    #expect(pair.bert.outgoing.isEmpty)
    pair.answer([2])
    #expect(pair.bert.outgoing.map(\.acknowledged) == [1])
    pair.exchange()
    #expect(pair.anna.freed == 1)
    #expect(!pair.anna.session.hasUnacknowledged)
    pair.now = pair.now + 100
    pair.bert.step { [now = pair.now] in $0.tick(now: now, into: &$1) }
    #expect(pair.bert.outgoing.isEmpty, "nothing is left to acknowledge")
  }

  @Test func `an acknowledgement goes alone when no payload comes to take it along`() {
    var pair = SessionPair.established()
    pair.send([1])
    pair.exchange()
    #expect(pair.anna.session.hasUnacknowledged)
    pair.wait(Channel.acknowledgementDelay)
    #expect(pair.bert.outgoing.map(\.kind) == [.acknowledge])
    pair.exchange()
    #expect(!pair.anna.session.hasUnacknowledged)
  }

  @Test func `acknowledging what was never sent frees nothing`() {
    var pair = SessionPair.established()
    pair.send([1])
    _ = pair.anna.takeOutgoing()
    var lie = Packet(
      source: .bert, destination: .anna, sourceIncarnation: 22, destinationIncarnation: 11,
      kind: .acknowledge, trafficClass: .actor, acknowledged: .max, creditLimit: .max)
    pair.toAnna([lie])
    #expect(pair.anna.freed == 1)
    lie.acknowledged = 0
    lie.creditLimit = 0
    pair.toAnna([lie])
    pair.send([2])
    #expect(pair.anna.outgoing.compactMap(\.sequence) == [2])
  }

  @Test func `a peer that greets with another incarnation has restarted`() {
    var pair = SessionPair.established()
    pair.send([1])
    let hello = Packet(
      source: .bert, destination: .anna, sourceIncarnation: 23, destinationIncarnation: 0,
      kind: .open, trafficClass: .control)
    pair.toAnna([hello])
    #expect(pair.anna.lost?.code == .peerLost)
  }

  @Test func `what is meant for an earlier session is answered with a reset of that one`() {
    var pair = SessionPair.established()
    pair.send([1])
    var packet = pair.anna.takeOutgoing()[0]
    packet.destinationIncarnation = 21
    pair.toBert([packet])
    #expect(pair.bert.delivered.isEmpty)
    #expect(pair.bert.outgoing.map(\.kind) == [.reset])
    #expect(pair.bert.outgoing[0].destinationIncarnation == 11)
    #expect(pair.bert.outgoing[0].sourceIncarnation == 21)
    pair.exchange()
    #expect(pair.anna.lost == nil, "the session with 22 is not the one that was reset")
  }

  @Test func `a reset of this session ends it`() {
    var pair = SessionPair.established()
    let reset = Packet(
      source: .bert, destination: .anna, sourceIncarnation: 22, destinationIncarnation: 11,
      kind: .reset, trafficClass: .control)
    pair.toAnna([reset])
    #expect(pair.anna.lost?.code == .peerLost)
  }

  @Test func `a reset while opening is nothing to lose`() {
    var pair = SessionPair()
    let reset = Packet(
      source: .bert, destination: .anna, sourceIncarnation: 22, destinationIncarnation: 11,
      kind: .reset, trafficClass: .control)
    pair.toAnna([reset])
    #expect(pair.anna.lost == nil)
  }

  @Test func `a path that is back carries what it lost at once`() {
    var pair = SessionPair.established()
    pair.send([1])
    pair.send([2])
    _ = pair.anna.takeOutgoing()
    pair.anna.step { [now = pair.now] in $0.pathIsBack(now: now, into: &$1) }
    #expect(pair.anna.outgoing.compactMap(\.sequence) == [1, 2])
    pair.exchange()
    #expect(pair.bert.delivered == [[1], [2]])
  }

  @Test func `a peer that never answers is unreachable after ten seconds`() {
    var pair = SessionPair()
    pair.send([1])
    pair.wait(.milliseconds(9999))
    #expect(pair.anna.lost == nil)
    pair.wait(.milliseconds(1))
    #expect(pair.anna.lost?.code == .unreachable)
  }

  @Test func `a silent peer is asked for a word, and lost in the end`() {
    var pair = SessionPair.established()
    pair.wait(.milliseconds(4999))
    #expect(pair.anna.outgoing.isEmpty)
    pair.wait(.milliseconds(1))
    #expect(pair.anna.outgoing.map(\.kind) == [.open])
    while pair.anna.lost == nil, pair.now.nanoseconds < 600_000_000_000 {
      _ = pair.anna.takeOutgoing()
      pair.wait(.milliseconds(100))
    }
    #expect(pair.anna.lost?.code == .peerLost)
    #expect(pair.now == MonotonicTime(nanoseconds: 0) + Session.lostAfter)
  }

  @Test func `a peer that only answers probes is never lost`() {
    var pair = SessionPair.established()
    for _ in 0..<120 {
      pair.wait(.seconds(1))
      pair.exchange()
    }
    #expect(pair.anna.lost == nil)
    #expect(pair.bert.lost == nil)
  }

  @Test func `the deadline is never later than the next thing to do`() {
    var pair = SessionPair()
    #expect(pair.anna.session.deadline <= pair.now)
    pair = .established()
    #expect(pair.anna.session.deadline == pair.now + 5000)
    pair.send([1])
    #expect(pair.anna.session.deadline == pair.now + 1000)
    pair.exchange()
    #expect(pair.bert.session.deadline == pair.now + Channel.acknowledgementDelay)
  }
}
