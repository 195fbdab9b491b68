public import Distributed
public import IorunCore
public import IorunRuntime
public import IorunWire

/// Runtime jobs at the head, for agents. See `ClusterService`.
public distributed actor ClusterControl: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "cluster"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 65_536

  private let service: any ClusterService

  /// Serves `service` on the mesh.
  public init(_ service: any ClusterService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// A node's runtime side is here (again), with all that it holds. The answer lists jobs that are
  /// over: their processes are to end.
  public distributed func register(_ registration: ClusterRegistration) async throws -> [JobID] {
    try await service.register(registration, caller: caller)
  }

  /// What of the caller's resources is free now, and how many requests wait there.
  public distributed func update(available: ResourceAmounts, waiting: Int, number: UInt64)
    async throws
  {
    try await service.update(
      available: available, waiting: waiting, number: number, caller: caller)
  }

  /// Opens a job for a driver on the caller's node; draws its id.
  public distributed func openJob(_ job: RuntimeJob) async throws -> RuntimeJob {
    try await service.openJob(job, caller: caller)
  }

  /// The driver is gone: ends the job on every node.
  public distributed func closeJob(_ job: JobID, reason: String) async throws {
    try await service.closeJob(job, reason: reason, caller: caller)
  }

  /// What a node must know to run processes of a job.
  public distributed func job(_ job: JobID) async throws -> RuntimeJob {
    try await service.job(job, caller: caller)
  }

  /// Finds a node for a task and a worker there; waits until there is room. `notOn` are nodes that
  /// have just refused. Throws `noPlacement` at once where no node could ever take it.
  public distributed func lease(
    _ demand: RuntimeDemand, job: JobID, holder: ProcessAddress, ticket: UInt64
  ) async throws -> RuntimeLease {
    try await service.lease(demand, job: job, holder: holder, ticket: ticket, caller: caller)
  }

  /// A request for a lease is taken back: the request itself is answered by `cancelled`, or by a grant
  /// that crosses this call and is to be given back.
  public distributed func cancelLease(_ ticket: UInt64, holder: ProcessAddress) async throws {
    try await service.cancelLease(ticket, holder: holder, caller: caller)
  }

  /// Accepts an actor; answers when it is placed or queued. With `getIfExists` and a taken name, the
  /// one that exists, and its spec.
  public distributed func createActor(_ spec: RuntimeActorSpec, getIfExists: Bool) async throws
    -> RuntimeActorRecord
  {
    try await service.createActor(spec, getIfExists: getIfExists, caller: caller)
  }

  /// An actor's standing, and its spec. The caller's node hears of every change from now on.
  public distributed func actor(_ actor: RuntimeActorID) async throws -> RuntimeActorRecord {
    try await service.actor(actor, caller: caller)
  }

  /// The same by name.
  public distributed func actor(named name: String, namespace: String) async throws
    -> RuntimeActorRecord
  {
    try await service.actor(named: name, namespace: namespace, caller: caller)
  }

  /// The names of living actors; of all namespaces where `namespace` is `nil`.
  public distributed func actorNames(namespace: String?) async throws -> [RuntimeActorName] {
    try await service.actorNames(namespace: namespace, caller: caller)
  }

  /// Ends an actor, for good where `noRestart`.
  public distributed func killActor(_ actor: RuntimeActorID, noRestart: Bool) async throws {
    try await service.killActor(actor, noRestart: noRestart, caller: caller)
  }

  /// Nobody has a handle any more: ends it in order.
  public distributed func releaseActor(_ actor: RuntimeActorID) async throws {
    try await service.releaseActor(actor, caller: caller)
  }

  /// The caller's node says what became of an actor's process.
  public distributed func actorChanged(_ status: RuntimeActorStatus) async throws {
    try await service.actorChanged(status, caller: caller)
  }

  /// Accepts a placement group; answers when it is reserved, queued or found infeasible.
  public distributed func createGroup(_ spec: PlacementGroupSpec) async throws
    -> PlacementGroupStatus
  {
    try await service.createGroup(spec, caller: caller)
  }

  /// Waits until a group is created, at most so long.
  public distributed func waitGroup(_ group: GroupID, milliseconds: Int) async throws
    -> PlacementGroupStatus
  {
    try await service.waitGroup(group, milliseconds: milliseconds, caller: caller)
  }

  /// Gives a group back; what runs in it ends.
  public distributed func removeGroup(_ group: GroupID) async throws {
    try await service.removeGroup(group, caller: caller)
  }

  /// All groups, or one, or the one of a name.
  public distributed func groups(_ group: GroupID?, name: PlacementGroupName?) async throws
    -> [PlacementGroupStatus]
  {
    try await service.groups(group, name: name, caller: caller)
  }

  /// All nodes as runtime jobs see them.
  public distributed func clusterNodes() async throws -> [ClusterNode] {
    try await service.clusterNodes(caller: caller)
  }
}
