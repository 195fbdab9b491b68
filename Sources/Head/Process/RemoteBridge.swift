internal import Foundation
internal import IorunContent
internal import IorunContract
internal import IorunCore
internal import IorunRuntime
internal import IorunWire

/// A node's runtime side as the head calls it over the mesh.
struct RemoteBridge: BridgeService {
  /// A lease may wait for an environment that is being built; a node that is lost ends the call.
  static let grantLimit = Duration.seconds(3600)

  let bridge: NodeBridge

  func grantLease(
    _ demand: RuntimeDemand, job: RuntimeJob, holder: ProcessAddress, caller: PeerID
  ) async throws -> RuntimeLease {
    try await MeshActorSystem.$callTimeout.withValue(Self.grantLimit) {
      try await bridge.grantLease(demand, job: job, holder: holder)
    }
  }

  func returnLease(_ lease: UInt64, holder: ProcessAddress, broken: Bool, caller: PeerID)
    async throws
  {
    try await bridge.returnLease(lease, holder: holder, broken: broken)
  }

  func startActor(
    _ spec: RuntimeActorSpec, incarnation: Int, restarts: Int, job: RuntimeJob, caller: PeerID
  ) async throws -> WorkerID {
    try await bridge.startActor(spec, incarnation: incarnation, restarts: restarts, job: job)
  }

  func stopActor(_ actor: RuntimeActorID, reason: ProcessLoss, inOrder: Bool, caller: PeerID)
    async throws
  {
    try await bridge.stopActor(actor, reason: reason, inOrder: inOrder)
  }

  func actorChanged(_ status: RuntimeActorStatus, caller: PeerID) async throws {
    try await bridge.actorChanged(status)
  }

  func prepareBundles(_ reservation: BundleReservation, caller: PeerID) async throws {
    try await bridge.prepareBundles(reservation)
  }

  func commitBundles(_ group: GroupID, epoch: Int64, caller: PeerID) async throws {
    try await bridge.commitBundles(group, epoch: epoch)
  }

  func releaseBundles(_ group: GroupID, caller: PeerID) async throws {
    try await bridge.releaseBundles(group)
  }

  func recall(sole: ProcessAddress?, caller: PeerID) async throws {
    try await bridge.recall(sole: sole)
  }

  func endJob(_ job: JobID, reason: String, caller: PeerID) async throws {
    try await bridge.endJob(job, reason: reason)
  }

  func nodeLost(_ node: NodeID, reason: String, caller: PeerID) async throws {
    try await bridge.nodeLost(node, reason: reason)
  }

  func list(_ kind: String, job: JobID?, limit: Int, caller: PeerID) async throws -> String {
    try await bridge.list(kind, job: job, limit: limit)
  }

  // What agents say to each other; the head has no business with it.

  func deliver(_ job: JobID, _ segment: Data, caller: PeerID) async throws {
    try await bridge.deliver(job, segment)
  }

  func echo(caller: PeerID) async throws { try await bridge.echo() }

  func processLost(_ job: JobID, _ process: ProcessAddress, _ cause: ProcessLoss, caller: PeerID)
    async throws
  {
    try await bridge.processLost(job, process, cause)
  }

  func program(_ job: JobID, caller: PeerID) async throws -> Blob {
    try await bridge.program(job)
  }

  func workingFolder(_ job: JobID, environment: String, caller: PeerID) async throws -> Blob {
    try await bridge.workingFolder(job, environment: environment)
  }

  func free(_ job: JobID, objects: [Data], caller: PeerID) async throws {
    try await bridge.free(job, objects: objects)
  }
}
