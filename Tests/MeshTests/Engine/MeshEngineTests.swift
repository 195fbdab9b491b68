import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// One process's protocol as a whole: whose packets count, and where they go.
struct MeshEngineTests {
  private let now = MonotonicTime(nanoseconds: 0)

  private func packet(
    from source: PeerID, to destination: PeerID, _ kind: Packet.Kind = .open
  ) -> Packet {
    Packet(
      source: source, destination: destination, sourceIncarnation: 5, destinationIncarnation: 0,
      kind: kind, trafficClass: .actor)
  }

  private func receive(
    _ engine: inout MeshEngine, _ packet: Packet, over link: MeshEngine.LinkID
  ) -> [MeshEngine.Action] {
    var actions: [MeshEngine.Action] = []
    engine.receive(packet, over: link, now: now, into: &actions)
    return actions
  }

  private func transmitted(_ actions: [MeshEngine.Action]) -> [(MeshEngine.LinkID, Packet)] {
    actions.compactMap {
      if case .transmit(let link, let packet) = $0 { (link, packet) } else { nil }
    }
  }

  /// A node: its head is the uplink over link 1, two of its executors are links 2 and 3.
  private func relay(group: [String] = ["job", "job"]) -> MeshEngine {
    var engine = MeshEngine(local: .node, incarnation: 1, uplink: .head)
    var actions: [MeshEngine.Action] = []
    engine.linkUp(1, peer: .head, now: now, into: &actions)
    engine.linkUp(2, peer: .anna, now: now, into: &actions)
    engine.linkUp(3, peer: .bert, now: now, into: &actions)
    engine.setRelays(
      RelayTable(
        routes: [
          .anna: .init(adjacent: .anna, group: group[0]),
          .bert: .init(adjacent: .bert, group: group[1]),
        ], remoteMembers: [.carl: "job"]))
    return engine
  }

  @Test func `a pair is relayed in both directions, and its members to nobody else`() {
    var engine = MeshEngine(local: .head, incarnation: 1, uplink: nil)
    var actions: [MeshEngine.Action] = []
    engine.linkUp(1, peer: .node, now: now, into: &actions)
    engine.linkUp(2, peer: .anna, now: now, into: &actions)
    engine.linkUp(3, peer: .bert, now: now, into: &actions)
    engine.setRelays(RelayTable(pairs: [RelayTable.Pair(.anna, .node)]))
    #expect(transmitted(receive(&engine, packet(from: .anna, to: .node), over: 2)).map(\.0) == [1])
    #expect(transmitted(receive(&engine, packet(from: .node, to: .anna), over: 1)).map(\.0) == [2])
    #expect(receive(&engine, packet(from: .bert, to: .node), over: 3).isEmpty)
    #expect(receive(&engine, packet(from: .node, to: .bert), over: 1).isEmpty)
    #expect(receive(&engine, packet(from: .anna, to: .bert), over: 2).isEmpty)
    #expect(receive(&engine, packet(from: .anna, to: .node), over: 3).isEmpty)
    #expect(engine.refusedPackets == 4)
    engine.setRelays(RelayTable())
    #expect(receive(&engine, packet(from: .anna, to: .node), over: 2).isEmpty)
  }

  @Test func `a packet with another's source is refused`() {
    var engine = relay()
    #expect(receive(&engine, packet(from: .bert, to: .node), over: 2).isEmpty)
    #expect(receive(&engine, packet(from: .node, to: .node), over: 2).isEmpty)
    #expect(receive(&engine, packet(from: .head, to: .node), over: 2).isEmpty)
    #expect(engine.refusedPackets == 3)
  }

  @Test func `not even the uplink speaks in the name of this process`() {
    var engine = relay()
    #expect(receive(&engine, packet(from: .node, to: .node), over: 1).isEmpty)
    #expect(engine.refusedPackets == 1)
  }

  @Test func `a packet over an unknown or an ended link is nothing`() {
    var engine = relay()
    #expect(receive(&engine, packet(from: .anna, to: .node), over: 99).isEmpty)
    var actions: [MeshEngine.Action] = []
    engine.linkDown(2, now: now, into: &actions)
    #expect(receive(&engine, packet(from: .anna, to: .node), over: 2).isEmpty)
  }

  @Test func `members of one group are relayed to each other unchanged`() {
    var engine = relay()
    let data = packet(from: .anna, to: .bert, .data(sequence: 1, payload: [1]))
    let sent = transmitted(receive(&engine, data, over: 2))
    #expect(sent.map(\.0) == [3])
    #expect(sent.map(\.1) == [data])
  }

  @Test func `members of different groups are not relayed`() {
    var engine = relay(group: ["one", "two"])
    #expect(receive(&engine, packet(from: .anna, to: .bert), over: 2).isEmpty)
    #expect(engine.refusedPackets == 1)
  }

  @Test func `a stranger is not relayed, neither from nor to`() {
    var engine = relay()
    var actions: [MeshEngine.Action] = []
    let stranger = PeerID(high: 7, low: 7)
    engine.linkUp(4, peer: stranger, now: now, into: &actions)
    #expect(receive(&engine, packet(from: stranger, to: .anna), over: 4).isEmpty)
    #expect(receive(&engine, packet(from: .anna, to: stranger), over: 2).isEmpty)
    #expect(receive(&engine, packet(from: .anna, to: .head), over: 2).isEmpty)
    #expect(engine.refusedPackets == 3)
  }

  @Test func `a member elsewhere is reached through the uplink`() {
    var engine = relay()
    #expect(transmitted(receive(&engine, packet(from: .anna, to: .carl), over: 2)).map(\.0) == [1])
    #expect(transmitted(receive(&engine, packet(from: .carl, to: .anna), over: 1)).map(\.0) == [2])
  }

  @Test func `an executor behind a node does not reach this process`() {
    var head = MeshEngine(local: .head, incarnation: 1, uplink: nil)
    var actions: [MeshEngine.Action] = []
    head.linkUp(1, peer: .node, now: now, into: &actions)
    // Whatever the node says lives behind it: it must not speak to the head in that name.
    head.setRelays(RelayTable(routes: [.anna: .init(adjacent: .node, group: "job")]))
    #expect(receive(&head, packet(from: .anna, to: .head), over: 1).isEmpty)
    #expect(head.refusedPackets == 1)
    #expect(!receive(&head, packet(from: .node, to: .head), over: 1).isEmpty)
  }

  @Test func `an executor behind another node is refused`() {
    // The head: node and bert's node are adjacent; anna runs on node.
    var head = MeshEngine(local: .head, incarnation: 1, uplink: nil)
    var actions: [MeshEngine.Action] = []
    head.linkUp(1, peer: .node, now: now, into: &actions)
    head.linkUp(2, peer: .carl, now: now, into: &actions)
    head.setRelays(
      RelayTable(routes: [
        .anna: .init(adjacent: .node, group: "job"), .bert: .init(adjacent: .carl, group: "job"),
      ]))
    #expect(receive(&head, packet(from: .anna, to: .bert), over: 2).isEmpty)
    #expect(head.refusedPackets == 1)
    #expect(transmitted(receive(&head, packet(from: .anna, to: .bert), over: 1)).map(\.0) == [2])
  }

  @Test func `open to a member without a way is answered with unreachable`() {
    var engine = relay()
    var actions: [MeshEngine.Action] = []
    engine.linkDown(3, now: now, into: &actions)
    let answers = transmitted(receive(&engine, packet(from: .anna, to: .bert), over: 2))
    #expect(answers.map(\.0) == [2])
    #expect(answers.map(\.1.kind) == [.unreachable])
    #expect(answers.map(\.1.source) == [.bert])
  }

  @Test func `data for a session that is not there is answered with its reset`() {
    var engine = relay()
    let answers = transmitted(
      receive(&engine, packet(from: .anna, to: .node, .data(sequence: 1, payload: [])), over: 2))
    #expect(answers.map(\.1.kind) == [.reset])
    #expect(answers.map(\.1.destinationIncarnation) == [5])
    #expect(receive(&engine, packet(from: .anna, to: .node, .accept), over: 2).isEmpty)
    #expect(receive(&engine, packet(from: .anna, to: .node, .reset), over: 2).isEmpty)
  }

  @Test func `a payload to oneself is delivered at once`() {
    var engine = relay()
    var actions: [MeshEngine.Action] = []
    engine.send([1], to: .node, in: .actor, now: now, into: &actions)
    guard case .deliver(.node, .actor, [1]) = actions.first else {
      Issue.record("\(actions)")
      return
    }
  }

  @Test func `of two links to a peer the newer is used, and packets count over both`() {
    var engine = relay()
    var actions: [MeshEngine.Action] = []
    engine.linkUp(8, peer: .anna, now: now, into: &actions)
    let answer = transmitted(receive(&engine, packet(from: .anna, to: .node), over: 2))
    #expect(answer.map(\.0) == [8])
    engine.linkDown(2, now: now, into: &actions)
    #expect(engine.hasLink(to: .anna))
    #expect(!receive(&engine, packet(from: .anna, to: .node), over: 8).isEmpty)
  }

  @Test func `a session is asked for over a link that is not up yet, once`() {
    var engine = MeshEngine(local: .node, incarnation: 1, uplink: .head)
    var actions: [MeshEngine.Action] = []
    engine.open(.head, over: 1, now: now, into: &actions)
    let asked = transmitted(actions)
    #expect(asked.map(\.0) == [1])
    #expect(asked.map(\.1.kind) == [.open])
    actions = []
    engine.open(.head, over: 2, now: now, into: &actions)
    #expect(transmitted(actions).isEmpty, "the session is there already")
  }

  @Test func `a session that was opened ahead has the whole patience for its first payload`() {
    var engine = MeshEngine(local: .node, incarnation: 1, uplink: .head)
    var actions: [MeshEngine.Action] = []
    engine.open(.head, over: 1, now: now, into: &actions)
    let late = now + (Session.openTimeout - .seconds(1))
    engine.send([1], to: .head, in: .actor, now: late, into: &actions)
    actions = []
    engine.tick(now: now + Session.openTimeout, into: &actions)
    #expect(!actions.contains { if case .peerLost = $0 { true } else { false } })
    engine.tick(now: late + Session.openTimeout, into: &actions)
    #expect(actions.contains { if case .peerLost = $0 { true } else { false } })
  }
}

/// Two engines over a perfect link: what a session given up on one side means for the next.
struct MeshEngineSessionTests {
  private struct World {
    var now = MonotonicTime(nanoseconds: 0)
    var engines: [PeerID: MeshEngine]
    var delivered: [PeerID: [[UInt8]]] = [:]
    var lost: [PeerID: [IorunError]] = [:]
    var isCut = false

    init() {
      engines = [
        .anna: MeshEngine(local: .anna, incarnation: 1000, uplink: nil),
        .bert: MeshEngine(local: .bert, incarnation: 2000, uplink: nil),
      ]
      link()
    }

    mutating func link() {
      perform(.bert) { [now] in $0.linkUp(1, peer: .anna, now: now, into: &$1) }
      perform(.anna) { [now] in $0.linkUp(1, peer: .bert, now: now, into: &$1) }
    }

    mutating func perform(
      _ peer: PeerID, _ step: (inout MeshEngine, inout [MeshEngine.Action]) -> Void
    ) {
      var actions: [MeshEngine.Action] = []
      guard var engine = engines.removeValue(forKey: peer) else { return }
      step(&engine, &actions)
      engines[peer] = engine
      for action in actions {
        switch action {
        case .transmit(_, let packet):
          guard !isCut else { continue }
          perform(packet.destination) { [now] in $0.receive(packet, over: 1, now: now, into: &$1) }
        case .deliver(_, _, let payload): delivered[peer, default: []].append(payload)
        case .freed, .identified: break
        case .peerLost(_, let error): lost[peer, default: []].append(error)
        }
      }
    }

    mutating func send(_ payload: [UInt8], from peer: PeerID, to other: PeerID) {
      perform(peer) { [now] in $0.send(payload, to: other, in: .actor, now: now, into: &$1) }
    }

    mutating func wait(_ seconds: Int) {
      for _ in 0..<(seconds * 100) {
        now = now + 10
        for peer in [PeerID.anna, .bert] {
          perform(peer) { [now] in $0.tick(now: now, into: &$1) }
        }
      }
    }
  }

  @Test func `a session that one side forgot begins anew and loses nothing sent after`() {
    var world = World()
    for index: UInt8 in 1...3 { world.send([index], from: .anna, to: .bert) }
    world.wait(1)
    world.engines[.anna]!.forget(.bert)
    for index: UInt8 in 4...6 { world.send([index], from: .anna, to: .bert) }
    world.wait(2)
    #expect(world.delivered[.bert] == [[1], [2], [3], [4], [5], [6]])
    #expect(!world.engines[.anna]!.hasUnacknowledged)
  }

  @Test func `what the other side sends into a forgotten session is reported lost, then flows`() {
    var world = World()
    for index: UInt8 in 1...3 { world.send([index], from: .anna, to: .bert) }
    world.wait(1)
    world.engines[.bert]!.forget(.anna)
    world.send([4], from: .anna, to: .bert)
    world.wait(2)
    #expect(world.lost[.anna]?.map(\.code) == [.peerLost])
    world.send([5], from: .anna, to: .bert)
    world.wait(2)
    #expect(world.delivered[.bert]?.last == [5])
  }

  @Test func `when one side gave up during an outage and the other did not, both can talk again`() {
    for seconds in [-4, -2, -1, 1, 6].map({ Int(Session.lostAfter.components.seconds) + $0 }) {
      var world = World()
      world.send([1], from: .anna, to: .bert)
      world.wait(3)
      // Anna hears of bert for the last time now, bert of anna three seconds ago.
      world.send([2], from: .bert, to: .anna)
      world.isCut = true
      world.wait(seconds)
      world.isCut = false
      world.link()
      world.wait(1)
      world.send([3], from: .anna, to: .bert)
      world.send([4], from: .bert, to: .anna)
      world.wait(8)
      world.send([5], from: .anna, to: .bert)
      world.send([6], from: .bert, to: .anna)
      world.wait(8)
      #expect(world.delivered[.bert]?.last == [5], "after \(seconds) s")
      #expect(world.delivered[.anna]?.last == [6], "after \(seconds) s")
    }
  }

  @Test func `both sides may begin a session at the same time`() {
    var world = World()
    world.isCut = true
    world.send([1], from: .anna, to: .bert)
    world.send([2], from: .bert, to: .anna)
    world.isCut = false
    world.wait(1)
    #expect(world.delivered[.bert] == [[1]])
    #expect(world.delivered[.anna] == [[2]])
    #expect(world.lost.isEmpty)
  }

  @Test func `a restarted peer is reported lost, and a new session works`() {
    var world = World()
    world.send([1], from: .anna, to: .bert)
    world.wait(1)
    world.engines[.bert] = MeshEngine(local: .bert, incarnation: 3000, uplink: nil)
    world.link()
    #expect(world.lost[.anna]?.map(\.code) == [.peerLost])
    world.send([2], from: .anna, to: .bert)
    world.send([3], from: .bert, to: .anna)
    world.wait(1)
    #expect(world.delivered[.bert] == [[1], [2]])
    #expect(world.delivered[.anna] == [[3]])
    #expect(world.lost[.anna]?.count == 1)
  }
}
