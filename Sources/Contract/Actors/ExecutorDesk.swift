public import Distributed
public import IorunRuntime

/// The agent's desk for the processes of its ranks. See `ExecutorService`.
public distributed actor ExecutorDesk: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "executors"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024

  private let service: any ExecutorService

  /// Serves `service` on the mesh.
  public init(_ service: any ExecutorService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Which rank the caller is, and who the others are.
  public distributed func gang() async throws -> GangView {
    try await service.gang(caller: caller)
  }
}
