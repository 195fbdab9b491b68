internal import IorunContract
internal import IorunCore
internal import IorunRuntime

/// A node's search for paths as the head calls it over the mesh.
struct RemotePathDesk: PathDeskService {
  /// These are quick, or the node is as good as away.
  static let limit = Duration.seconds(5)

  let desk: PathDesk

  func meet(_ offer: PathOffer, caller: PeerID) async throws {
    try await MeshActorSystem.$callTimeout.withValue(Self.limit) { try await desk.meet(offer) }
  }

  func echo(caller: PeerID) async throws {
    try await MeshActorSystem.$callTimeout.withValue(Self.limit) { try await desk.echo() }
  }
}
