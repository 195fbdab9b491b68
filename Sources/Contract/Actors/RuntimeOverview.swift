public import Distributed
public import IorunRuntime
public import IorunWire

/// Runtime jobs, for clients. See `RuntimeOverviewService`.
public distributed actor RuntimeOverview: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "runtime"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024

  private let service: any RuntimeOverviewService

  /// Serves `service` on the mesh.
  public init(_ service: any RuntimeOverviewService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// What there is of one kind.
  public distributed func list(_ kind: RuntimeKind, limit: Int) async throws -> RuntimeListing {
    try await service.list(kind, limit: limit, caller: caller)
  }

  /// The nodes that take part in runtime jobs, or did.
  public distributed func nodes() async throws -> [ClusterNode] {
    try await service.nodes(caller: caller)
  }
}
