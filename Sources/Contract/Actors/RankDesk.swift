public import Distributed
internal import IorunCore
public import IorunRuntime
internal import IorunWire

/// One node's ranks, for their jobs' owners. See `RankService`.
public distributed actor RankDesk: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "ranks"
  /// Connections are opened side by side.
  public static let maxConcurrentCalls = 1024

  private let service: any RankService

  /// Serves `service` on the mesh.
  public init(_ service: any RankService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Opens the node's side of a stream.
  public distributed func open(_ request: StreamRequest) async throws -> UInt64 {
    try await service.open(request, caller: caller)
  }
}
