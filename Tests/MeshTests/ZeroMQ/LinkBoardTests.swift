import IorunCore
import Synchronization
import Testing

@testable import IorunMesh

/// What a listener learns of the connections of those who dial it, and what a revoked peer still can do.
@Suite(.timeLimit(.minutes(4)), .serialized)
struct LinkBoardTests {
  /// Keeps changes in their order.
  private final class Changes: Sendable {
    private let state = Mutex<[(PeerID, LinkBoard.Change)]>([])
    func of(_ peer: PeerID) -> [LinkBoard.Change] {
      state.withLock { $0.filter { $0.0 == peer }.map(\.1) }
    }
    func watch(_ endpoint: ZeroMQEndpoint) {
      endpoint.links.onChange { peer, change in self.state.withLock { $0.append((peer, change)) } }
    }
  }

  private let headKey: CurveKey
  private let annaKey: CurveKey
  private let bertKey: CurveKey

  init() throws {
    headKey = try CurveKey()
    annaKey = try CurveKey()
    bertKey = try CurveKey()
  }

  @Test func `a connection that its peer's kernel closes is told at once, and only that one`()
    async throws
  {
    let listener = try Listener(key: headKey, admitting: [annaKey, bertKey])
    let changes = Changes()
    changes.watch(listener.endpoint)
    let proxy = try CuttableProxy(to: listener.port)
    let anna = try Caller(
      key: annaKey, to: "tcp://127.0.0.1:\(proxy.port)", headKey: headKey.publicKey)
    let bert = try Caller(key: bertKey, to: listener.address, headKey: headKey.publicKey)
    for caller in [anna, bert] {
      try await caller.endpoint.uplinkMonitor.waitUntilUp(within: .seconds(20))
    }
    // Each time the descriptor is used again, by this peer or by the other.
    for round in 1...8 {
      proxy.setCut(true)
      #expect(
        await eventually { changes.of(annaKey.peer).last == .down(wasClosed: true) },
        "round \(round)")
      proxy.setCut(false)
      #expect(await eventually { changes.of(annaKey.peer).last == .up }, "round \(round)")
    }
    #expect(changes.of(bertKey.peer) == [.up])
    let ups = changes.of(annaKey.peer).count { $0 == .up }
    #expect(ups == 9 && changes.of(annaKey.peer).count == 17, "\(changes.of(annaKey.peer))")
    #expect(Set(listener.endpoint.links.ages().keys) == [annaKey.peer, bertKey.peer])
    try anna.send([1], to: listener)
    #expect(await eventually { listener.receiver.payloads.contains { $0.bytes == [1] } })
    await bert.endpoint.stop()
    #expect(await eventually { changes.of(bertKey.peer) == [.up, .down(wasClosed: true)] })
    await anna.endpoint.stop()
    proxy.stop()
    await listener.endpoint.stop()
  }

  @Test
  func `attack: a revoked peer is cut off although its connection stands, and cannot greet anew`()
    async throws
  {
    let listener = try Listener(key: headKey, admitting: [annaKey, bertKey])
    let changes = Changes()
    changes.watch(listener.endpoint)
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    let bert = try Caller(key: bertKey, to: listener.address, headKey: headKey.publicKey)
    for caller in [anna, bert] { try caller.send([1], to: listener) }
    #expect(await eventually { listener.receiver.payloads.count == 2 })
    listener.endpoint.expel(annaKey.peer)
    #expect(await eventually { changes.of(annaKey.peer).last == .down(wasClosed: false) })
    // The board is told at once, the receiver at the end of the turn.
    #expect(
      await eventually {
        listener.receiver.lost.contains {
          $0.peer == annaKey.peer && $0.error.code == .peerRevoked
        }
      })
    // It sends on, over the old connection and over those that it makes in its place. (The rule of
    // this listener admits its key still: what a handshake that was under way would find.)
    for number: UInt8 in 2..<60 {
      try anna.send([number], to: listener)
      try bert.send([number], to: listener)
    }
    #expect(await eventually { listener.receiver.payloads.count { $0.peer == bertKey.peer } == 59 })
    let again = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    await #expect(throws: IorunError.self) {
      try await again.endpoint.uplinkMonitor.waitUntilUp(within: .milliseconds(800))
    }
    #expect(listener.receiver.payloads.count { $0.peer == annaKey.peer } == 1)
    #expect(changes.of(annaKey.peer) == [.up, .down(wasClosed: false)])
    for endpoint in [anna.endpoint, bert.endpoint, again.endpoint, listener.endpoint] {
      await endpoint.stop(drainingFor: .zero)
    }
  }
}
