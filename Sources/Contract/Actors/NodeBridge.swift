public import Distributed
public import Foundation
public import IorunContent
public import IorunCore
public import IorunRuntime
public import IorunWire

/// One node's runtime side, for its head and for other agents. See `BridgeService`.
public distributed actor NodeBridge: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "bridge"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 65_536

  private let service: any BridgeService

  /// Serves `service` on the mesh.
  public init(_ service: any BridgeService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Head: a worker for a task of another node's process, now; throws `overloaded` where there is no
  /// room at this moment.
  public distributed func grantLease(
    _ demand: RuntimeDemand, job: RuntimeJob, holder: ProcessAddress
  ) async throws -> RuntimeLease {
    try await service.grantLease(demand, job: job, holder: holder, caller: caller)
  }

  /// Head or holder's agent: a lease is given back.
  public distributed func returnLease(_ lease: UInt64, holder: ProcessAddress, broken: Bool)
    async throws
  {
    try await service.returnLease(lease, holder: holder, broken: broken, caller: caller)
  }

  /// Head: starts an actor's process. Answers when its resources are held and its worker id is known.
  public distributed func startActor(
    _ spec: RuntimeActorSpec, incarnation: Int, restarts: Int, job: RuntimeJob
  ) async throws -> WorkerID {
    try await service.startActor(
      spec, incarnation: incarnation, restarts: restarts, job: job, caller: caller)
  }

  /// Head: ends an actor's process.
  public distributed func stopActor(_ actor: RuntimeActorID, reason: ProcessLoss, inOrder: Bool)
    async throws
  {
    try await service.stopActor(actor, reason: reason, inOrder: inOrder, caller: caller)
  }

  /// Head: an actor that processes here asked for has changed.
  public distributed func actorChanged(_ status: RuntimeActorStatus) async throws {
    try await service.actorChanged(status, caller: caller)
  }

  /// Head: first phase of a reservation.
  public distributed func prepareBundles(_ reservation: BundleReservation) async throws {
    try await service.prepareBundles(reservation, caller: caller)
  }

  /// Head: second phase.
  public distributed func commitBundles(_ group: GroupID, epoch: Int64) async throws {
    try await service.commitBundles(group, epoch: epoch, caller: caller)
  }

  /// Head: gives bundles back; what runs in them ends.
  public distributed func releaseBundles(_ group: GroupID) async throws {
    try await service.releaseBundles(group, caller: caller)
  }

  /// Head, or an agent: somebody waits for resources; idle leases should come back. `sole` is the
  /// process that waits, where it is the only one.
  public distributed func recall(sole: ProcessAddress?) async throws {
    try await service.recall(sole: sole, caller: caller)
  }

  /// Head: a job is over.
  public distributed func endJob(_ job: JobID, reason: String) async throws {
    try await service.endJob(job, reason: reason, caller: caller)
  }

  /// Head: a node is gone.
  public distributed func nodeLost(_ node: NodeID, reason: String) async throws {
    try await service.nodeLost(node, reason: reason, caller: caller)
  }

  /// Agent: the next part of the stream of parcels from the caller's node, in order: see
  /// `RelaySegment`.
  public distributed func deliver(_ job: JobID, _ segment: Data) async throws {
    try await service.deliver(job, segment, caller: caller)
  }

  /// Agent: an answer at once, by which the caller measures the way.
  public distributed func echo() async throws { try await service.echo(caller: caller) }

  /// Agent: takes bytes and drops them, by which the caller measures how fast they go.
  public distributed func absorb(_ bytes: Data) async throws {
    try await service.echo(caller: caller)
  }

  /// Agent: processes of a job on the caller's node are gone.
  public distributed func processLost(_ job: JobID, _ process: ProcessAddress, _ cause: ProcessLoss)
    async throws
  {
    try await service.processLost(job, process, cause, caller: caller)
  }

  /// Agent: a job runs a program that the caller lacks. Given by the driver's node: the program's
  /// manifest, as the head's chunks have it.
  public distributed func program(_ job: JobID) async throws -> Blob {
    try await service.program(job, caller: caller)
  }

  /// Agent: a job runs in a working folder that lies on this node. Given by the node on which the
  /// environment of that hash was described: the folder's manifest, as the head's chunks have it.
  public distributed func workingFolder(_ job: JobID, environment: String) async throws -> Blob {
    try await service.workingFolder(job, environment: environment, caller: caller)
  }

  /// Agent: objects of a job are not needed any more.
  public distributed func free(_ job: JobID, objects: [Data]) async throws {
    try await service.free(job, objects: objects, caller: caller)
  }

  /// Head: what this node knows of one kind of thing, for `iorun list`; JSON text of an array.
  public distributed func list(_ kind: String, job: JobID?, limit: Int) async throws -> String {
    try await service.list(kind, job: job, limit: limit, caller: caller)
  }
}
