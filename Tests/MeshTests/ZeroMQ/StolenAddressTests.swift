import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// What a hostile machine at a peer's address gets: nothing.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct StolenAddressTests {
  @Test func `attack: a node that sits at another's address gets nothing that is the other's`()
    async throws
  {
    let (annaKey, bertKey, malloryKey) = (try CurveKey(), try CurveKey(), try CurveKey())
    let head = try Listener(key: CurveKey(), admitting: [annaKey, bertKey, malloryKey])
    head.endpoint.setRelays(
      RelayTable(
        routes: Dictionary(
          uniqueKeysWithValues: [annaKey, bertKey, malloryKey].map {
            ($0.peer, .init(adjacent: $0.peer, group: "nodes"))
          })))
    let callers = try [annaKey, bertKey, malloryKey].map {
      try Caller(key: $0, to: head.address, headKey: head.key.publicKey)
    }
    let (anna, bert, mallory) = (callers[0], callers[1], callers[2])
    let allowed = PeerAllowList()
    allowed.set([annaKey.publicKey])
    // Mallory listens where bert is said to live, and would take anna.
    let place = try await mallory.endpoint.listen(
      on: ["tcp://127.0.0.1:0"], admits: allowed.admits)
    let monitor = anna.endpoint.dial(
      MeshUplink(address: place.addresses[0], key: bertKey.publicKey))
    #expect(await eventually { monitor.lastFailure?.code == .unreachable })
    try anna.endpoint.send([1], to: bertKey.peer, in: .actor)
    // The head carries it, to bert and nobody else.
    #expect(await eventually { bert.receiver.payloads.map(\.bytes) == [[1]] })
    #expect(try await anna.endpoint.isDirect(to: bertKey.peer) == false)
    #expect(try await mallory.endpoint.isDirect(to: annaKey.peer) == false)
    #expect(mallory.receiver.payloads.isEmpty)
    for caller in callers { await caller.endpoint.stop(drainingFor: .zero) }
    await head.endpoint.stop(drainingFor: .zero)
  }
}
