import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// Which link a session's packets take, while links come and go.
struct PathChoiceTests {
  private let now = MonotonicTime(nanoseconds: 0)

  /// A node with its head over link 1, and a session with bert, who answers.
  private func node() -> (engine: MeshEngine, actions: [MeshEngine.Action]) {
    var engine = MeshEngine(local: .node, incarnation: 1, uplink: .head)
    var actions: [MeshEngine.Action] = []
    engine.linkUp(1, peer: .head, now: now, into: &actions)
    engine.send([7], to: .bert, in: .actor, now: now, into: &actions)
    let accept = Packet(
      source: .bert, destination: .node, sourceIncarnation: 5, destinationIncarnation: 1,
      kind: .accept, trafficClass: .control, creditLimit: 1 << 20)
    engine.receive(accept, over: 1, now: now, into: &actions)
    return (engine, actions)
  }

  /// Over which links the payload went.
  private func ways(_ actions: [MeshEngine.Action]) -> [MeshEngine.LinkID] {
    actions.compactMap {
      if case .transmit(let link, let packet) = $0, packet.sequence != nil { link } else { nil }
    }
  }

  @Test func `a link of the peer's own is used from when it comes until it goes`() {
    var (engine, actions) = node()
    #expect(ways(actions) == [1])
    actions = []
    engine.linkUp(2, peer: .bert, now: now, into: &actions)
    #expect(ways(actions) == [2], "what the uplink may lose is sent again over the new link")
    actions = []
    engine.linkDown(2, now: now, into: &actions)
    #expect(ways(actions) == [1], "and what the link may have taken with it over the uplink")
  }

  @Test func `a carrier is used where it was named, and only while its link is up`() {
    var (engine, actions) = node()
    actions = []
    engine.setCarrier(.carl, true)
    engine.setCarrier(.carl, of: .bert, now: now, into: &actions)
    #expect(ways(actions) == [], "it has no link yet")
    engine.linkUp(3, peer: .carl, now: now, into: &actions)
    #expect(ways(actions) == [3])
    actions = []
    engine.linkDown(3, now: now, into: &actions)
    #expect(ways(actions) == [1])
  }

  @Test func `a direct link comes before a carrier`() {
    var (engine, actions) = node()
    engine.setCarrier(.carl, true)
    engine.linkUp(3, peer: .carl, now: now, into: &actions)
    engine.linkUp(2, peer: .bert, now: now, into: &actions)
    actions = []
    engine.setCarrier(.carl, of: .bert, now: now, into: &actions)
    engine.send([8], to: .bert, in: .actor, now: now, into: &actions)
    #expect(ways(actions) == [2])
  }

  @Test func `a peer that was dialled for itself brings nobody else's packets`() {
    var (engine, actions) = node()
    engine.linkUp(3, peer: .carl, now: now, into: &actions)
    actions = []
    let open = Packet(
      source: .anna, destination: .node, sourceIncarnation: 5, destinationIncarnation: 0,
      kind: .open, trafficClass: .control)
    engine.receive(open, over: 3, now: now, into: &actions)
    #expect(actions.isEmpty)
    #expect(engine.refusedPackets == 1)
    engine.setCarrier(.carl, true)
    engine.receive(open, over: 3, now: now, into: &actions)
    #expect(!actions.isEmpty)
  }
}
