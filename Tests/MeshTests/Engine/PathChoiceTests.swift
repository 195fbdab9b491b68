import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// Which link a session's packets take, while links come and go.
struct PathChoiceTests {
  private let now = MonotonicTime(nanoseconds: 0)
  private let bert: HostileRelay.Person

  init() throws { bert = try HostileRelay.Person() }

  /// A node with its head over link 1, and a session with bert, whom the head reaches. One payload is
  /// on its way to bert.
  private func node() throws -> MeshEngine {
    var engines = [
      try HostileRelay.Person().engine(incarnation: 1), try bert.engine(incarnation: 2),
    ]
    var onTheWay: [Packet] = []
    func perform(_ index: Int, _ step: (inout MeshEngine, inout [MeshEngine.Action]) -> Void) {
      var actions: [MeshEngine.Action] = []
      step(&engines[index], &actions)
      for case .transmit(_, let packet) in actions { onTheWay.append(packet) }
    }
    for index in 0..<2 { perform(index) { $0.linkUp(1, peer: .head, now: now, into: &$1) } }
    perform(0) { $0.send([7], to: bert.address, in: .actor, now: now, into: &$1) }
    // Question and answer; what follows them is lost.
    for _ in 0..<2 {
      for packet in onTheWay.take() {
        let receiver = packet.destination == bert.address ? 1 : 0
        perform(receiver) { $0.receive(packet, over: 1, now: now, into: &$1) }
      }
    }
    return engines[0]
  }

  /// Over which links content went.
  private func ways(_ actions: [MeshEngine.Action]) -> Set<MeshEngine.LinkID> {
    var ways: Set<MeshEngine.LinkID> = []
    for case .transmit(let link, let packet) in actions {
      switch packet.kind {
      case .data, .sealed: ways.insert(link)
      case .open, .accept, .acknowledge, .reset, .unreachable: continue
      }
    }
    return ways
  }

  @Test func `a link of the peer's own is used from when it comes until it goes`() throws {
    var engine = try node()
    var actions: [MeshEngine.Action] = []
    engine.send([8], to: bert.address, in: .actor, now: now, into: &actions)
    #expect(ways(actions) == [1])
    actions = []
    engine.linkUp(2, peer: bert.address, now: now, into: &actions)
    #expect(ways(actions) == [2], "what the uplink may lose is sent again over the new link")
    #expect(
      actions.contains { if case .transmit(2, let it) = $0 { it.sequence == 1 } else { false } })
    actions = []
    engine.linkDown(2, now: now, into: &actions)
    #expect(ways(actions) == [1], "and what the link may have taken with it over the uplink")
  }

  @Test func `a carrier is used where it was named, and only while its link is up`() throws {
    var engine = try node()
    var actions: [MeshEngine.Action] = []
    engine.setCarrier(.carl, true)
    engine.setCarrier(.carl, of: bert.address, now: now, into: &actions)
    #expect(ways(actions) == [], "it has no link yet")
    engine.linkUp(3, peer: .carl, now: now, into: &actions)
    #expect(ways(actions) == [3])
    actions = []
    engine.linkDown(3, now: now, into: &actions)
    #expect(ways(actions) == [1])
  }

  @Test func `a direct link comes before a carrier`() throws {
    var engine = try node()
    var actions: [MeshEngine.Action] = []
    engine.setCarrier(.carl, true)
    engine.linkUp(3, peer: .carl, now: now, into: &actions)
    engine.linkUp(2, peer: bert.address, now: now, into: &actions)
    actions = []
    engine.setCarrier(.carl, of: bert.address, now: now, into: &actions)
    engine.send([8], to: bert.address, in: .actor, now: now, into: &actions)
    #expect(ways(actions) == [2])
  }

  @Test func `a peer that was dialled for itself brings nobody else's packets`() throws {
    var engine = try node()
    var actions: [MeshEngine.Action] = []
    engine.linkUp(3, peer: .carl, now: now, into: &actions)
    actions = []
    let anna = try HostileRelay.Person()
    let open = Packet(
      source: anna.address, destination: engine.local, sourceIncarnation: 5,
      destinationIncarnation: 0, kind: .open, trafficClass: .control,
      greeting: SessionGreeting(
        publicKey: anna.key.publicKey, ephemeralKey: try CurveKey().publicKey, instance: 0))
    engine.receive(open, over: 3, now: now, into: &actions)
    #expect(actions.isEmpty)
    #expect(engine.refusedPackets == 1)
    engine.setCarrier(.carl, true)
    engine.receive(open, over: 3, now: now, into: &actions)
    #expect(!actions.isEmpty)
  }
}
