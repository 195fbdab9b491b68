import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// What hostile machines on the way can do to two peers on real sockets: cost them time.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct HostileCarrierTests {
  @Test(arguments: [1, 2] as [UInt64])
  func `attack: a relay that drops, delays, reorders, replays and edits changes nothing`(
    seed: UInt64
  ) async throws {
    let (annaKey, bertKey) = (try CurveKey(), try CurveKey())
    let carrier = try HostileCarrier(admitting: [annaKey, bertKey], seed: seed)
    let anna = try Caller(key: annaKey, to: carrier.address, headKey: carrier.key.publicKey)
    let bertEndpoint = try ZeroMQEndpoint(
      identity: bertKey,
      uplink: MeshUplink(address: carrier.address, key: carrier.key.publicKey))
    let bert = RecordingReceiver(bertEndpoint) { $0.bytes }
    let count = 300
    for number in 0..<count {
      try anna.endpoint.send(
        [UInt8(number & 255), UInt8(number >> 8)], to: bertKey.peer, in: .actor)
      // One by one, so that there are packets to meddle with.
      try await Task.sleep(for: .milliseconds(1))
    }
    let expected = (0..<count).map { [UInt8($0 & 255), UInt8($0 >> 8)] }
    let arrived = await eventually(within: .seconds(100)) {
      anna.receiver.payloads.count >= count
    }
    #expect(arrived, "\(anna.receiver.payloads.count) answers; \(carrier.done)")
    #expect(bert.payloads.map(\.bytes) == expected)
    #expect(anna.receiver.payloads.map(\.bytes) == expected)
    #expect(bert.payloads.allSatisfy { $0.peer == annaKey.peer && $0.principal == annaKey.peer })
    #expect(anna.receiver.lost.isEmpty && bert.lost.isEmpty)
    let deeds = carrier.done
    #expect(deeds.readable == 0)
    #expect(deeds.lost > 0 && deeds.edited > 0 && deeds.reordered > 0 && deeds.repeated > 0)
    await anna.endpoint.stop(drainingFor: .zero)
    await bertEndpoint.stop(drainingFor: .zero)
    carrier.stop()
  }

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
