public import Foundation
public import IorunContent
public import IorunCore
public import IorunWire

// What the head and the agents do for runtime jobs: tasks, actors, objects, placement groups. The
// distributed actors `ClusterControl` and `NodeBridge` carry these calls. `caller` is the peer that
// CURVE and ZAP proved: an agent speaks for its own node only.

/// Runtime jobs at the head. Served to agents.
public protocol ClusterService: Sendable {
  /// A node's runtime side is here (again), with all that it holds. The answer lists jobs that are
  /// over: their processes are to end.
  func register(_ registration: ClusterRegistration, caller: PeerID) async throws -> [JobID]
  /// What of the caller's resources is free now, and how many requests wait there. `number` grows from
  /// 1 with each word since the registration: calls may overtake each other.
  func update(available: ResourceAmounts, waiting: Int, number: UInt64, caller: PeerID)
    async throws
  /// Opens a job for a driver on the caller's node; draws its id.
  func openJob(_ job: RuntimeJob, caller: PeerID) async throws -> RuntimeJob
  /// The driver is gone: ends the job on every node.
  func closeJob(_ job: JobID, reason: String, caller: PeerID) async throws
  /// What a node must know to run processes of a job.
  func job(_ job: JobID, caller: PeerID) async throws -> RuntimeJob
  /// Finds a node for a task and a worker there; waits until there is room. `notOn` are nodes that
  /// have just refused. Throws `noPlacement` at once where no node could ever take it. `ticket` is the
  /// holder's own name of the request.
  func lease(
    _ demand: RuntimeDemand, job: JobID, holder: ProcessAddress, ticket: UInt64, caller: PeerID
  ) async throws -> RuntimeLease
  /// A request for a lease is taken back: the request itself is answered by `cancelled`, or by a grant
  /// that crosses this call and is to be given back. (To cancel the task that waits for the answer
  /// would lose that grant.)
  func cancelLease(_ ticket: UInt64, holder: ProcessAddress, caller: PeerID) async throws
  /// Accepts an actor; answers when it is placed or queued. With `getIfExists` and a taken name, the
  /// one that exists, and its spec.
  func createActor(_ spec: RuntimeActorSpec, getIfExists: Bool, caller: PeerID) async throws
    -> RuntimeActorRecord
  /// An actor's standing, and its spec. The caller's node hears of every change from now on.
  func actor(_ actor: RuntimeActorID, caller: PeerID) async throws
    -> RuntimeActorRecord
  /// The same by name.
  func actor(named name: String, namespace: String, caller: PeerID) async throws
    -> RuntimeActorRecord
  /// The names of living actors; of all namespaces where `namespace` is `nil`.
  func actorNames(namespace: String?, caller: PeerID) async throws -> [RuntimeActorName]
  /// Ends an actor, for good where `noRestart`.
  func killActor(_ actor: RuntimeActorID, noRestart: Bool, caller: PeerID) async throws
  /// Nobody has a handle any more: ends it in order.
  func releaseActor(_ actor: RuntimeActorID, caller: PeerID) async throws
  /// The caller's node says what became of an actor's process.
  func actorChanged(_ status: RuntimeActorStatus, caller: PeerID) async throws
  /// Accepts a placement group; answers when it is reserved, queued or found infeasible.
  func createGroup(_ spec: PlacementGroupSpec, caller: PeerID) async throws -> PlacementGroupStatus
  /// Waits until a group is created, at most so long.
  func waitGroup(_ group: GroupID, milliseconds: Int, caller: PeerID) async throws
    -> PlacementGroupStatus
  /// Gives a group back; what runs in it ends.
  func removeGroup(_ group: GroupID, caller: PeerID) async throws
  /// All groups, or one, or the one of a name.
  func groups(_ group: GroupID?, name: PlacementGroupName?, caller: PeerID) async throws
    -> [PlacementGroupStatus]
  /// All nodes as runtime jobs see them.
  func clusterNodes(caller: PeerID) async throws -> [ClusterNode]
}

/// Runtime jobs for people. Served by the head to clients.
public protocol RuntimeOverviewService: Sendable {
  /// What there is of one kind, of all nodes; at most `limit` items.
  func list(_ kind: RuntimeKind, limit: Int, caller: PeerID) async throws -> RuntimeListing
  /// The nodes that take part in runtime jobs, or did.
  func nodes(caller: PeerID) async throws -> [ClusterNode]
}

/// One node's runtime side. Served by the agent to the head, and to agents of the same network for
/// what the processes of one job send each other.
public protocol BridgeService: Sendable {
  /// Head: a worker for a task of another node's process, now; throws `overloaded` where there is no
  /// room at this moment.
  func grantLease(_ demand: RuntimeDemand, job: RuntimeJob, holder: ProcessAddress, caller: PeerID)
    async throws -> RuntimeLease
  /// Head or holder's agent: a lease is given back.
  func returnLease(_ lease: UInt64, holder: ProcessAddress, broken: Bool, caller: PeerID)
    async throws
  /// Head: starts an actor's process. Answers when its resources are held and its worker id is known.
  /// `incarnation` counts its places, `restarts` those of them that were lost.
  func startActor(
    _ spec: RuntimeActorSpec, incarnation: Int, restarts: Int, job: RuntimeJob, caller: PeerID
  ) async throws -> WorkerID
  /// Head: ends an actor's process.
  func stopActor(_ actor: RuntimeActorID, reason: ProcessLoss, inOrder: Bool, caller: PeerID)
    async throws
  /// Head: an actor that processes here asked for has changed.
  func actorChanged(_ status: RuntimeActorStatus, caller: PeerID) async throws
  /// Head: first phase of a reservation.
  func prepareBundles(_ reservation: BundleReservation, caller: PeerID) async throws
  /// Head: second phase.
  func commitBundles(_ group: GroupID, epoch: Int64, caller: PeerID) async throws
  /// Head: gives bundles back; what runs in them ends.
  func releaseBundles(_ group: GroupID, caller: PeerID) async throws
  /// Head, or an agent: somebody waits for resources; idle leases should come back. `sole` is the
  /// process that waits, where it is the only one.
  func recall(sole: ProcessAddress?, caller: PeerID) async throws
  /// Head: a job is over.
  func endJob(_ job: JobID, reason: String, caller: PeerID) async throws
  /// Head: a node is gone.
  func nodeLost(_ node: NodeID, reason: String, caller: PeerID) async throws
  /// Agent: the next part of the stream of parcels from the caller's node, in order: see
  /// `RelaySegment`.
  func deliver(_ job: JobID, _ segment: Data, caller: PeerID) async throws
  /// Agent: an answer at once, by which the caller measures the way.
  func echo(caller: PeerID) async throws
  /// Agent: processes of a job on the caller's node are gone.
  func processLost(_ job: JobID, _ process: ProcessAddress, _ cause: ProcessLoss, caller: PeerID)
    async throws
  /// Agent: a job runs a program that the caller lacks. Given by the driver's node: the program's
  /// manifest, as the head's chunks have it.
  func program(_ job: JobID, caller: PeerID) async throws -> Blob
  /// Agent: a job runs in a working folder that lies on this node. Given by the node on which the
  /// environment of that hash was described: the folder's manifest, as the head's chunks have it.
  func workingFolder(_ job: JobID, environment: String, caller: PeerID) async throws -> Blob
  /// Agent: objects of a job are not needed any more.
  func free(_ job: JobID, objects: [Data], caller: PeerID) async throws
  /// Head: what this node knows of one kind of thing, for `iorun list`; JSON text of an array.
  func list(_ kind: String, job: JobID?, limit: Int, caller: PeerID) async throws -> String
}

/// One node's objects, for other agents of the same network.
public protocol ObjectService: Sendable {
  /// Bytes of a sealed object. Throws `objectLost` where it is not here.
  func fetch(_ job: JobID, object: Data, offset: Int64, count: Int, caller: PeerID) async throws
    -> Data
}
