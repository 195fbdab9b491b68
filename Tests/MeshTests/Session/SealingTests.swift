import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunMesh

/// What a relay that means harm can do to a session that passes it: lose and delay, and no more.
struct SealingTests {
  private let marker: [UInt8] = Array("a secret of the tenant".utf8)

  private func numbers(_ range: ClosedRange<UInt8>) -> [[UInt8]] { range.map { marker + [$0] } }

  private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard bytes.count >= part.count else { return false }
    return (0...bytes.count - part.count).contains { Array(bytes[$0..<$0 + part.count]) == part }
  }

  /// Sends 100 payloads each way while the relay meddles, and for a while after.
  private func talk(_ world: inout HostileRelay) {
    for payload in numbers(1...100) {
      world.send(payload, from: world.anna, to: world.bert)
      world.send(payload, from: world.bert, to: world.anna)
      world.carry(turns: 1)
    }
    world.wait(.seconds(10))
    // Whatever the relay did so far, nothing wrong came of it.
    for person in [world.anna, world.bert] {
      #expect(numbers(1...100).starts(with: world.delivered[person.address] ?? []))
    }
    #expect(world.lost.isEmpty)
    world.meddle = { $0 }
    world.wait(.seconds(15))
  }

  private func expectWhole(_ world: HostileRelay) {
    #expect(world.delivered[world.bert.address] == numbers(1...100))
    #expect(world.delivered[world.anna.address] == numbers(1...100))
    #expect(world.lost.isEmpty)
  }

  @Test func `a relay sees neither what is said nor how much of it is acknowledged`() throws {
    var world = try HostileRelay()
    talk(&world)
    expectWhole(world)
    for packet in world.seen {
      switch packet.kind {
      case .open, .accept: continue
      case .sealed(_, let content):
        #expect(!contains(content, marker))
        #expect(packet.acknowledged == 0 && packet.creditLimit == 0)
      case .data, .acknowledge, .reset, .unreachable: Issue.record("unsealed: \(packet.kind)")
      }
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `a relay that loses, doubles, delays and reorders at random changes nothing`(
    seed: UInt64
  ) throws {
    var world = try HostileRelay()
    var random = SeededGenerator(seed: seed)
    var kept: [Packet] = []
    world.meddle = { packets in
      var next: [Packet] = []
      for packet in packets + kept.take() {
        switch Int.random(in: 0..<10, using: &random) {
        case 0: continue
        case 1: kept.append(packet)
        case 2: next += [packet, packet]
        default: next.append(packet)
        }
      }
      if Bool.random(using: &random) { next.shuffle(using: &random) }
      return next
    }
    talk(&world)
    expectWhole(world)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `a relay that edits is one that loses`(seed: UInt64) throws {
    var world = try HostileRelay()
    var random = SeededGenerator(seed: seed)
    world.meddle = { packets in
      packets.map { packet in
        guard Int.random(in: 0..<5, using: &random) == 0 else { return packet }
        return Self.edited(packet, using: &random)
      }
    }
    talk(&world)
    expectWhole(world)
  }

  private static func edited(_ packet: Packet, using random: inout SeededGenerator) -> Packet {
    var packet = packet
    switch Int.random(in: 0..<5, using: &random) {
    case 0: packet.sourceIncarnation ^= 1 << UInt64.random(in: 0..<64, using: &random)
    case 1: packet.destinationIncarnation ^= 1 << UInt64.random(in: 0..<64, using: &random)
    case 2: packet.greeting?.ephemeralKey[Int.random(in: 0..<32, using: &random)] ^= 1
    case 3: packet.greeting?.publicKey[Int.random(in: 0..<32, using: &random)] ^= 1
    default: break
    }
    if case .sealed(let counter, var content) = packet.kind {
      let byte = Int.random(in: content.indices, using: &random)
      content[byte] ^= UInt8.random(in: 1...255, using: &random)
      packet.kind = .sealed(counter: counter, content: content)
    }
    return packet
  }

  @Test func `what was said once is not said again by playing it back`() throws {
    var world = try HostileRelay()
    talk(&world)
    for packet in world.seen { world.inject(packet) }
    world.carry()
    world.wait(.seconds(5))
    for packet in world.seen.reversed() { world.inject(packet) }
    world.carry()
    world.wait(.seconds(5))
    expectWhole(world)
  }

  @Test func `a relay speaks in nobody's name`() throws {
    var world = try HostileRelay()
    let mallory = try HostileRelay.Person()
    func greet(_ publicKey: [UInt8]) throws -> Packet {
      Packet(
        source: world.anna.address, destination: world.bert.address, sourceIncarnation: 77,
        destinationIncarnation: 0, kind: .open, trafficClass: .control,
        greeting: SessionGreeting(
          publicKey: publicKey, ephemeralKey: try CurveKey().publicKey, instance: 0))
    }
    // With a key of its own at anna's address: not even a session.
    world.inject(try greet(mallory.key.publicKey))
    #expect(world.onTheWay.isEmpty)
    #expect(world.engines[world.bert.address]?.refusedPackets == 1)
    // With anna's key, whose secret half it lacks: an answer that it cannot use, and nothing more.
    world.inject(try greet(world.anna.key.publicKey))
    world.send(marker, from: world.bert, to: world.anna)
    #expect(world.onTheWay.allSatisfy { $0.sequence == nil })
    #expect(world.onTheWay.allSatisfy { if case .sealed = $0.kind { false } else { true } })
    // Unsealed words count for nothing.
    var word = try greet(world.anna.key.publicKey)
    word.kind = .data(sequence: 1, payload: marker)
    word.greeting = nil
    word.destinationIncarnation = world.onTheWay.last?.sourceIncarnation ?? 0
    world.inject(word)
    #expect(world.delivered.isEmpty)
    // The real anna is met all the same.
    world.carry()
    world.wait(.seconds(2))
    #expect(world.delivered[world.anna.address] == [marker])
  }

  @Test func `a session that proved itself is ended by no word of a relay`() throws {
    var world = try HostileRelay()
    talk(&world)
    guard
      let sealed = world.seen.last(where: { if case .sealed = $0.kind { true } else { false } }),
      let accept = world.seen.last(where: { $0.kind == .accept }),
      let open = world.seen.last(where: { $0.kind == .open })
    else {
      Issue.record("no session")
      return
    }
    var reset = sealed
    reset.kind = .reset
    world.inject(reset)
    var restarted = open
    restarted.sourceIncarnation &+= 99
    restarted.destinationIncarnation = 0
    world.inject(restarted)
    restarted = accept
    restarted.sourceIncarnation &+= 99
    world.inject(restarted)
    var unreachable = accept
    unreachable.kind = .unreachable
    unreachable.greeting = nil
    world.inject(unreachable)
    world.carry()
    world.wait(.seconds(5))
    world.send([1], from: world.anna, to: world.bert)
    world.send([2], from: world.bert, to: world.anna)
    world.carry()
    #expect(world.delivered[world.bert.address]?.last == [1])
    #expect(world.delivered[world.anna.address]?.last == [2])
    #expect(world.lost.isEmpty)
  }

  @Test(arguments: [true, false])
  func `a peer that restarts behind a relay is met anew`(speaksFirst: Bool) throws {
    var world = try HostileRelay()
    world.send([1], from: world.anna, to: world.bert)
    world.carry()
    #expect(world.delivered[world.bert.address] == [[1]])
    try world.start(world.bert, incarnation: 1 << 40)
    if speaksFirst {
      world.send([2], from: world.bert, to: world.anna)
    } else {
      // Into the void: it may or may not have arrived, so the session's end is told.
      world.send([9], from: world.anna, to: world.bert)
    }
    world.carry()
    world.wait(.seconds(2))
    #expect(world.lost[world.anna.address]?.map(\.code) == [.peerLost])
    world.send([3], from: world.anna, to: world.bert)
    world.send([4], from: world.bert, to: world.anna)
    world.wait(.seconds(2))
    #expect(world.delivered[world.bert.address]?.last == [3])
    #expect(world.delivered[world.anna.address]?.last == [4])
    if speaksFirst { #expect(world.delivered[world.anna.address] == [[2], [4]]) }
  }

  @Test func `one of several processes of a peer is known behind a relay`() throws {
    var world = try HostileRelay(annaInstance: 7)
    world.send([1], from: world.anna, to: world.bert)
    world.carry()
    #expect(world.delivered[world.bert.address] == [[1]])
    #expect(world.principals == [world.anna.address: world.anna.key.peer])
  }

  @Test func `a process without keys takes nothing from others' hands and gives them nothing`()
    throws
  {
    let anna = try HostileRelay.Person()
    var engine = MeshEngine(local: .bert, incarnation: 1, uplink: .head)
    var actions: [MeshEngine.Action] = []
    let now = MonotonicTime(nanoseconds: 0)
    engine.linkUp(1, peer: .head, now: now, into: &actions)
    engine.send([1], to: anna.address, in: .actor, now: now, into: &actions)
    let accept = Packet(
      source: anna.address, destination: .bert, sourceIncarnation: 5, destinationIncarnation: 1,
      kind: .accept, trafficClass: .control, creditLimit: 1 << 20)
    engine.receive(accept, over: 1, now: now, into: &actions)
    engine.tick(now: now + .seconds(1), into: &actions)
    for action in actions {
      guard case .transmit(_, let packet) = action else { continue }
      #expect(packet.kind == .open)
    }
  }
}
