import IorunCore
import TestSupport
import Testing

@testable import IorunTunnel

/// Two machines in memory.
@Suite(.timeLimit(.minutes(2))) struct WireGuardMachineTests {
  private func met(_ seed: UInt64 = 1) throws -> Lab {
    let lab = try Lab(seed: seed)
    lab.send([1], from: 0)
    lab.deliver()
    return lab
  }

  @Test("a packet without a key makes one, in one round trip")
  func handshake() throws {
    let lab = try met()
    #expect(lab.sent.map { $0.bytes[0] } == [1, 2, 4])
    #expect(lab.send([7, 8], from: 0))
    #expect(lab.send([9], from: 1))
    lab.deliver()
    #expect(lab.received == [[7, 8], [9]])
  }

  @Test("ends with different preshared keys do not come together")
  func presharedKeys() throws {
    let lab = try Lab()
    let psk = try #require(TunnelPresharedKey(bytes: [UInt8](repeating: 5, count: 32)))
    try lab.one.meet(lab.other, psk: psk)
    lab.send([1], from: 0)
    lab.deliver()
    #expect(lab.one.current == nil && lab.count(2, from: 1) == 1)
    try lab.other.meet(lab.one, psk: psk)
    lab.pass(.seconds(6))
    #expect(lab.one.current != nil && lab.other.current != nil)
  }

  @Test("an initiation is worked on once, and an older one never")
  func replayedInitiation() throws {
    let lab = try met()
    let initiation = try #require(lab.sent.first).bytes
    lab.pass(.seconds(1))
    lab.arrive(initiation, at: 1, from: lab.places[0])
    #expect(lab.count(2, from: 1) == 1)
  }

  @Test("a lost initiation and a lost answer are made up for, each after five seconds")
  func losses() throws {
    let lab = try Lab()
    var losses: [UInt8] = [1, 2]
    lab.loses = { bytes, _ in
      guard losses.first == bytes[0] else { return false }
      losses.removeFirst()
      return true
    }
    lab.send([1], from: 0)
    lab.pass(.seconds(4.5))
    #expect(lab.count(1, from: 0) == 1)
    lab.pass(.seconds(7))
    #expect(lab.count(1, from: 0) == 3 && losses.isEmpty)
    #expect(lab.send([1], from: 0))
  }

  @Test("a peer that is kept alive has its key at once, or soon after a way is there")
  func greeting() throws {
    let lab = try Lab()
    try lab.one.meet(lab.other, keepalive: .seconds(20))
    lab.loses = { _, _ in true }
    lab.perform(lab.one.machine.greet(0, now: lab.now, wallClock: lab.wallClock), 0)
    lab.deliver()
    #expect(lab.count(1, from: 0) == 1 && lab.one.current == nil)
    lab.pass(.seconds(0.9), step: .milliseconds(20))
    #expect((2...3).contains(lab.count(1, from: 0)))
    lab.loses = { _, _ in false }
    lab.pass(.seconds(2), step: .milliseconds(20))
    #expect(lab.one.current != nil && lab.other.current != nil)
    let tries = lab.count(1, from: 0)
    lab.perform(lab.one.machine.greet(0, now: lab.now, wallClock: lab.wallClock), 0)
    lab.deliver()
    #expect(lab.count(1, from: 0) == tries, "there is a key already")
  }

  @Test("what a peer sent before it was known is answered when it is set, without a second try")
  func earlyInitiation() throws {
    let lab = try Lab()
    try lab.one.meet(lab.other, keepalive: .seconds(20))
    lab.other.machine.remove(0)
    lab.perform(lab.one.machine.greet(0, now: lab.now, wallClock: lab.wallClock), 0)
    lab.deliver()
    #expect(lab.count(2, from: 1) == 0)
    try lab.other.meet(lab.one)
    lab.perform(lab.other.machine.greet(0, now: lab.now, wallClock: lab.wallClock), 1)
    lab.deliver()
    #expect(lab.one.current != nil && lab.other.current != nil)
    #expect(lab.sent.map { $0.bytes[0] } == [1, 2, 4])
    #expect(lab.other.endpoint == lab.places[0])
  }

  @Test("an early message is kept for 5 s, in a room that strangers can fill but not enlarge")
  func earlyBounds() throws {
    let lab = try Lab()
    lab.other.machine.remove(0)
    func greetLate(_ seed: UInt64, strangers: Int, wait: Duration) throws -> Bool {
      let caller = try LabEnd(seed: seed)
      try caller.meet(lab.other, keepalive: .seconds(20))
      func hail(_ end: LabEnd) throws {
        for case .send(let bytes, _) in end.machine.greet(
          0, now: lab.now, wallClock: lab.wallClock)
        {
          lab.arrive(bytes, at: 1, from: lab.places[0])
        }
      }
      try hail(caller)
      for number in 0..<strangers {
        let stranger = try LabEnd(seed: seed * 10_000 + UInt64(number))
        try stranger.meet(lab.other, keepalive: .seconds(20))
        try hail(stranger)
      }
      lab.now += wait
      try lab.other.machine.set(
        TunnelPeer(publicKey: caller.key.publicKey, allowedIPs: []), number: 0)
      let actions = lab.other.machine.greet(0, now: lab.now, wallClock: lab.wallClock)
      lab.other.machine.remove(0)
      return !actions.isEmpty
    }
    #expect(try greetLate(11, strangers: 0, wait: .seconds(4)))
    #expect(try !greetLate(12, strangers: 0, wait: .seconds(6)))
    #expect(try greetLate(13, strangers: 10, wait: .seconds(1)))
    #expect(try !greetLate(14, strangers: EarlyInitiations.capacity, wait: .seconds(1)))
  }

  @Test("a peer that does not answer is given up after 90 s, and tried again for a new packet")
  func givingUp() throws {
    let lab = try Lab()
    lab.loses = { _, _ in true }
    lab.send([1], from: 0)
    lab.pass(.seconds(120))
    let tries = lab.count(1, from: 0)
    #expect((16...19).contains(tries) && lab.one.drops == 1)
    lab.loses = { _, _ in false }
    lab.send([1], from: 0)
    lab.deliver()
    #expect(lab.count(1, from: 0) == tries + 1 && lab.one.current != nil)
  }

  @Test("the side that began makes a new key after 120 s of use, without losing a packet")
  func rekey() throws {
    let lab = try met()
    let first = try #require(lab.one.current).session.localIndex
    for second in 0..<200 {
      lab.pass(.seconds(1), step: .seconds(1))
      #expect(lab.send([UInt8(second)], from: 0))
      #expect(lab.send([UInt8(second)], from: 1))
      lab.deliver()
    }
    #expect(try #require(lab.one.current).session.localIndex != first)
    #expect(lab.received.count == 400)
    #expect(lab.count(1, from: 0) == 2 && lab.count(1, from: 1) == 0)
  }

  @Test("packets under way while a key is renewed are still taken")
  func overlap() throws {
    let lab = try met()
    lab.send([42], from: 0)
    let late = lab.wire.removeLast()
    lab.pass(.seconds(10))
    lab.perform(
      lab.one.machine.rekey(0, now: lab.now, wallClock: lab.wallClock), 0)
    lab.deliver()
    lab.arrive(late.bytes, at: 1, from: lab.places[0])
    #expect(lab.received == [[42]])
    lab.arrive(late.bytes, at: 1, from: lab.places[0])
    #expect(lab.received == [[42]], "a replay")
  }

  @Test("a key is of no use after 180 s, and erased after 540 s")
  func expiry() throws {
    let lab = try met()
    lab.pass(.seconds(179), step: .seconds(1))
    #expect(lab.send([1], from: 1))
    lab.loses = { _, _ in true }
    lab.pass(.seconds(2), step: .seconds(1))
    #expect(!lab.send([1], from: 1))
    lab.pass(.seconds(600), step: .seconds(1))
    #expect(lab.one.erasures == 1 && lab.other.erasures == 1)
    #expect(lab.one.current == nil && lab.other.current == nil)
  }

  @Test("data without an answer of its own is answered by an empty packet after 10 s")
  func passiveKeepalive() throws {
    let lab = try met()
    lab.pass(.seconds(1))
    lab.send([1], from: 0)
    lab.pass(.seconds(9))
    #expect(lab.other.keepalives == 0)
    lab.pass(.seconds(2))
    #expect(lab.other.keepalives == 1)
    lab.pass(.seconds(60))
    #expect(lab.other.keepalives == 1 && lab.one.keepalives == 0, "silence stays silence")
  }

  @Test("data without any word back makes a new key after 15 s")
  func unanswered() throws {
    let lab = try met()
    lab.pass(.seconds(6))
    lab.loses = { _, from in from == 1 }
    for _ in 0..<14 {
      lab.send([1], from: 0)
      lab.pass(.seconds(1))
    }
    #expect(lab.count(1, from: 0) == 1)
    lab.pass(.seconds(2))
    #expect(lab.count(1, from: 0) == 2)
  }

  @Test("a persistent keepalive makes a key by itself and keeps the path open")
  func persistentKeepalive() throws {
    let lab = try Lab()
    try lab.one.meet(lab.other, keepalive: .seconds(20))
    lab.pass(.seconds(1))
    #expect(lab.one.current != nil)
    lab.pass(.seconds(61))
    #expect((2...3).contains(lab.one.keepalives))
  }

  @Test("both sides begin at once on a path with delay: both have a key after one round trip")
  func glare() throws {
    let lab = try Lab()
    lab.send([1], from: 0)
    lab.send([1], from: 1)
    #expect(lab.wire.map { $0.bytes[0] } == [1, 1])
    lab.deliver()
    #expect(lab.send([3], from: 0))
    #expect(lab.send([4], from: 1))
    lab.deliver()
    #expect(lab.received == [[3], [4]])
    #expect(lab.count(1, from: 0) == 1 && lab.count(1, from: 1) == 1)
  }

  @Test("who should not begin holds back for 15 s")
  func restraint() throws {
    let lab = try Lab()
    try lab.other.meet(lab.one, startsHandshakes: false)
    lab.send([1], from: 1)
    lab.pass(.seconds(14))
    lab.send([1], from: 1)
    #expect(lab.count(1, from: 1) == 0)
    lab.pass(.seconds(2))
    lab.send([1], from: 1)
    lab.deliver()
    #expect(lab.count(1, from: 1) == 1 && lab.other.current != nil)
  }

  @Test("an authentic message from elsewhere moves the peer, a forged one does not")
  func roaming() throws {
    let lab = try met()
    let elsewhere = TunnelEndpoint(SocketAddress(v4: 10, 9, 9, 9, port: 4000))
    lab.send([5], from: 0)
    var forged = lab.wire.removeFirst().bytes
    let true1 = forged
    forged[20] ^= 1
    lab.arrive(forged, at: 1, from: elsewhere)
    #expect(lab.other.endpoint == lab.places[0])
    lab.arrive(true1, at: 1, from: elsewhere)
    #expect(lab.other.endpoint == elsewhere && lab.received == [[5]])
    lab.pass(.seconds(6))
    lab.perform(lab.one.machine.rekey(0, now: lab.now, wallClock: lab.wallClock), 0)
    let initiation = lab.wire.removeFirst().bytes
    lab.arrive(initiation, at: 1, from: lab.places[0])
    #expect(lab.other.endpoint == lab.places[0], "a handshake moves it, too")
  }

  @Test("a clock that jumps back does not lock a side out")
  func clockJump() throws {
    let lab = try met()
    lab.wallClock -= .seconds(86_400)
    lab.pass(.seconds(10))
    lab.perform(lab.one.machine.rekey(0, now: lab.now, wallClock: lab.wallClock), 0)
    lab.deliver()
    #expect(lab.count(2, from: 1) == 2)
  }

  @Test("a stranger's initiation, and one with a wrong first code, are met with silence")
  func strangers() throws {
    let lab = try met()
    let stranger = try LabEnd(seed: 99)
    try stranger.meet(lab.other)
    let actions = stranger.machine.wantKey(0, now: lab.now, wallClock: lab.wallClock)
    guard case .send(let initiation, _) = try #require(actions.first) else {
      Issue.record("no initiation")
      return
    }
    let before = lab.sent.count
    lab.arrive(initiation, at: 1, from: lab.places[0])
    var spoiled = try #require(lab.sent.first).bytes
    spoiled[120] ^= 1
    lab.isUnderLoad = true
    lab.arrive(spoiled, at: 1, from: lab.places[0])
    #expect(lab.sent.count == before, "not even a cookie")
  }

  @Test("of messages with random changes none is taken, whatever stands in them")
  func fuzz() throws {
    let lab = try met()
    lab.pass(.seconds(6))
    let messages = lab.sent.map(\.bytes)
    var dice = SeededGenerator(seed: 20_261_128)
    let before = lab.sent.count
    for round in 0..<3000 {
      var bytes = messages[round % messages.count]
      switch round % 4 {
      case 0: bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &dice)))
      case 1: bytes += dice.bytes(Int.random(in: 1...64, using: &dice))
      case 2: bytes = [bytes[0], 0, 0, 0] + dice.bytes(bytes.count - 4)
      default:
        for _ in 0...Int.random(in: 0...4, using: &dice) {
          bytes[Int.random(in: 0..<bytes.count, using: &dice)] ^= UInt8.random(
            in: 1...255, using: &dice)
        }
      }
      if bytes.first == 4, bytes.count < 32 { continue }
      lab.isUnderLoad = round % 2 == 0
      lab.arrive(bytes, at: round & 1, from: lab.places[1 - round & 1])
    }
    // Whole messages with a true first code get a cookie under load, and no more.
    #expect(lab.sent.dropFirst(before).allSatisfy { $0.bytes[0] == 3 })
    #expect(lab.received.isEmpty)
  }
}
