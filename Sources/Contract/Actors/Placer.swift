public import Distributed
public import IorunCore
public import IorunRuntime

/// Placement at the head, for clients. See `PlacementService`.
public distributed actor Placer: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "placer"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024

  private let service: any PlacementService

  /// Serves `service` on the mesh.
  public init(_ service: any PlacementService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Where a job would run now, or why it could not.
  public distributed func plan(_ spec: JobSpec) async throws -> PlacementPlan {
    try await service.plan(spec, caller: caller)
  }

  /// Ways to run a job now.
  public distributed func offers(_ spec: JobSpec) async throws -> [PlacementOffer] {
    try await service.offers(spec, caller: caller)
  }

  /// Why a job is where it is, or why it waits.
  public distributed func explain(_ job: JobID) async throws -> JobExplanation {
    try await service.explain(job, caller: caller)
  }
}
