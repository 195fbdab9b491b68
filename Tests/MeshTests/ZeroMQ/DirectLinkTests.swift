import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// Links beside the uplink, on real sockets: two nodes whose head relays between them.
struct DirectLinkTests {
  private struct Triangle {
    let head: Listener
    let anna: Caller
    let bert: Caller
    let annaKey: CurveKey
    let bertKey: CurveKey

    init() throws {
      annaKey = try CurveKey()
      bertKey = try CurveKey()
      head = try Listener(key: CurveKey(), admitting: [annaKey, bertKey])
      anna = try Caller(key: annaKey, to: head.address, headKey: head.key.publicKey)
      bert = try Caller(key: bertKey, to: head.address, headKey: head.key.publicKey)
      head.endpoint.setRelays(
        RelayTable(routes: [
          annaKey.peer: .init(adjacent: annaKey.peer, group: "nodes"),
          bertKey.peer: .init(adjacent: bertKey.peer, group: "nodes"),
        ]))
    }

    func stop() async {
      await anna.endpoint.stop(drainingFor: .zero)
      await bert.endpoint.stop(drainingFor: .zero)
      await head.endpoint.stop(drainingFor: .zero)
    }
  }

  private func number(_ value: Int) -> [UInt8] {
    [16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  @Test func `a transfer goes from relay to direct to relay, and nothing is lost or repeated`()
    async throws
  {
    let world = try Triangle()
    let allowed = PeerAllowList()
    let listener = try await world.bert.endpoint.listen(
      on: ["tcp://127.0.0.1:0"], admits: allowed.admits)
    var sent = 0
    func send(_ count: Int) throws {
      for _ in 0..<count {
        sent += 1
        try world.anna.endpoint.send(number(sent), to: world.bertKey.peer, in: .actor)
      }
    }
    let receiver = world.bert.receiver
    try send(500)
    #expect(await eventually { receiver.payloads.count > 100 })
    #expect(try await !world.anna.endpoint.isDirect(to: world.bertKey.peer))
    // In the midst of it: the direct link comes, breaks, comes again, and is given up.
    let link = MeshUplink(address: listener.addresses[0], key: world.bertKey.publicKey)
    allowed.set([world.annaKey.publicKey])
    let monitor = world.anna.endpoint.dial(link)
    try send(500)
    try await monitor.waitUntilUp(within: .seconds(10))
    #expect(try await world.anna.endpoint.isDirect(to: world.bertKey.peer))
    try send(500)
    world.bert.endpoint.endLinks(to: world.annaKey.peer)
    try send(500)
    world.anna.endpoint.hangUp(world.bertKey.peer)
    try send(500)
    #expect(await eventually { receiver.payloads.count >= sent })
    #expect(receiver.payloads.map(\.bytes) == (1...sent).map(number))
    #expect(receiver.payloads.allSatisfy { $0.principal == world.annaKey.peer })
    #expect(world.anna.receiver.lost.isEmpty)
    #expect(receiver.lost.isEmpty)
    await world.stop()
  }

  @Test func `without the head two linked nodes still speak`() async throws {
    let world = try Triangle()
    let listener = try await world.bert.endpoint.listen(
      on: ["tcp://127.0.0.1:0"], admits: { _ in world.annaKey.peer })
    try await world.anna.endpoint.dial(
      MeshUplink(address: listener.addresses[0], key: world.bertKey.publicKey)
    ).waitUntilUp(within: .seconds(10))
    await world.head.endpoint.stop(drainingFor: .zero)
    try world.anna.endpoint.send([1], to: world.bertKey.peer, in: .actor)
    #expect(await eventually { world.bert.receiver.payloads.map(\.bytes) == [[1]] })
    try world.bert.endpoint.send([2], to: world.annaKey.peer, in: .actor)
    #expect(await eventually { world.anna.receiver.payloads.map(\.bytes) == [[2]] })
    await world.stop()
  }

  @Test func `a key that the list does not hold is refused, and a closed listener answers nobody`()
    async throws
  {
    let world = try Triangle()
    let allowed = PeerAllowList()
    let listener = try await world.bert.endpoint.listen(
      on: ["tcp://127.0.0.1:0"], admits: allowed.admits)
    let link = MeshUplink(address: listener.addresses[0], key: world.bertKey.publicKey)
    await #expect(throws: IorunError.self) {
      try await world.anna.endpoint.dial(link).waitUntilUp(within: .seconds(10))
    }
    #expect(world.anna.endpoint.dial(link).lastFailure?.code == .keyNotAdmitted)
    allowed.set([world.annaKey.publicKey])
    // An attempt that is under way may still be refused by the list as it was.
    #expect(await eventually { world.anna.endpoint.dial(link).isLinkUp })
    world.bert.endpoint.close(listener)
    #expect(await eventually { !world.anna.endpoint.dial(link).isLinkUp })
    await world.stop()
  }
}
