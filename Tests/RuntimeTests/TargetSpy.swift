import Distributed
import IorunCore
import IorunMesh
import IorunRuntime
import IorunWire
import Synchronization

/// A transport that goes nowhere and tells which method a call was for.
final class TargetSpy: MeshTransport {
  let localPeer = PeerID(high: 77, low: 77)
  private let seen = Mutex("")

  func start(_ receiver: any TransportReceiver) {}
  func consumed(_ byteCount: Int, from peer: PeerID, in trafficClass: TrafficClass) {}
  func stop(drainingFor limit: Duration) async {}

  func send(_ payload: [UInt8], to peer: PeerID, in trafficClass: TrafficClass) throws {
    if case .call(let call) = try EnvelopeCodec.decode(payload) {
      seen.withLock { $0 = call.target }
    }
    throw IorunError(.unreachable, "this goes nowhere")
  }

  /// The name that Swift gives the method which `body` calls.
  static func target<Act: DistributedActor>(
    _ type: Act.Type, _ body: (Act) async throws -> Void
  ) async throws -> String where Act.ActorSystem == MeshActorSystem {
    let spy = TargetSpy()
    let system = MeshActorSystem(transport: spy)
    let actor = try Act.resolve(
      id: MeshActorID(peer: PeerID(high: 1, low: 1), name: "x"), using: system)
    try? await body(actor)
    return spy.seen.withLock { $0 }
  }
}
