import Foundation
import IorunContract
import IorunCore
import IorunWire
import Synchronization

/// A head that knows one node and puts everything there: enough for a hub's own tests.
final class FakeCluster: ClusterService {
  struct State {
    var bridge: (any BridgeService)?
    var jobs: [JobID: RuntimeJob] = [:]
    var actors: [RuntimeActorID: RuntimeActorRecord] = [:]
    var changes: [RuntimeActorStatus] = []
    var killed: [RuntimeActorID] = []
    var closed: [JobID] = []
    var registrations: [ClusterRegistration] = []
    var available: ResourceAmounts?
  }

  let state = Mutex(State())

  private var bridge: any BridgeService {
    get throws {
      guard let bridge = state.withLock({ $0.bridge }) else {
        throw IorunError(.internalFault, "the fake head has no node")
      }
      return bridge
    }
  }

  func register(_ registration: ClusterRegistration, caller: PeerID) async throws -> [JobID] {
    state.withLock { $0.registrations.append(registration) }
    return []
  }

  func update(available: ResourceAmounts, waiting: Int, number: UInt64, caller: PeerID)
    async throws
  {
    state.withLock { $0.available = available }
  }

  func openJob(_ job: RuntimeJob, caller: PeerID) async throws -> RuntimeJob {
    state.withLock { $0.jobs[job.job] = job }
    return job
  }

  func closeJob(_ job: JobID, reason: String, caller: PeerID) async throws {
    state.withLock { $0.closed.append(job) }
  }

  func job(_ job: JobID, caller: PeerID) async throws -> RuntimeJob {
    guard let job = state.withLock({ $0.jobs[job] }) else {
      throw IorunError(.notFound, "no such job")
    }
    return job
  }

  func lease(
    _ demand: RuntimeDemand, job: JobID, holder: ProcessAddress, ticket: UInt64, caller: PeerID
  ) async throws -> RuntimeLease {
    try await bridge.grantLease(
      demand, job: self.job(job, caller: caller), holder: holder, caller: caller)
  }

  func cancelLease(_ ticket: UInt64, holder: ProcessAddress, caller: PeerID) async throws {}

  func createActor(_ spec: RuntimeActorSpec, getIfExists: Bool, caller: PeerID) async throws
    -> RuntimeActorRecord
  {
    let worker = try await bridge.startActor(
      spec, incarnation: 1, restarts: 0, job: job(spec.job, caller: caller), caller: caller)
    var status = RuntimeActorStatus(spec, state: .placed)
    status.node = NodeID(caller)
    status.worker = worker
    status.incarnation = 1
    let record = RuntimeActorRecord(spec: spec, status: status)
    state.withLock { $0.actors[spec.actor] = record }
    return record
  }

  func actor(_ actor: RuntimeActorID, caller: PeerID) async throws -> RuntimeActorRecord {
    guard let record = state.withLock({ $0.actors[actor] }) else {
      throw IorunError(.notFound, "no such actor")
    }
    return record
  }

  func actor(named name: String, namespace: String, caller: PeerID) async throws
    -> RuntimeActorRecord
  {
    guard let record = state.withLock({ $0.actors.values.first { $0.spec.name == name } }) else {
      throw IorunError(.notFound, "no such actor")
    }
    return record
  }

  func actorNames(namespace: String?, caller: PeerID) async throws -> [RuntimeActorName] {
    state.withLock { state in
      state.actors.values.map { RuntimeActorName(name: $0.spec.name, namespace: $0.spec.namespace) }
    }
  }

  func killActor(_ actor: RuntimeActorID, noRestart: Bool, caller: PeerID) async throws {
    state.withLock { $0.killed.append(actor) }
    var detail = ProcessLoss.Detail()
    detail.intended = true
    try await bridge.stopActor(
      actor, reason: ProcessLoss(.processLost, "it was killed", detail: detail), inOrder: false,
      caller: caller)
  }

  func releaseActor(_ actor: RuntimeActorID, caller: PeerID) async throws {}

  func actorChanged(_ status: RuntimeActorStatus, caller: PeerID) async throws {
    state.withLock { $0.changes.append(status) }
    try await bridge.actorChanged(status, caller: caller)
  }

  func createGroup(_ spec: PlacementGroupSpec, caller: PeerID) async throws -> PlacementGroupStatus
  {
    try await bridge.prepareBundles(
      BundleReservation(
        spec: spec, indices: Array(spec.bundles.indices), epoch: 1, commits: true),
      caller: caller)
    return PlacementGroupStatus(
      spec, state: .created, nodes: spec.bundles.map { _ in NodeID(caller) })
  }

  func waitGroup(_ group: GroupID, milliseconds: Int, caller: PeerID) async throws
    -> PlacementGroupStatus
  { throw IorunError(.notFound, "no such group") }

  func removeGroup(_ group: GroupID, caller: PeerID) async throws {
    try await bridge.releaseBundles(group, caller: caller)
  }

  func groups(_ group: GroupID?, name: PlacementGroupName?, caller: PeerID) async throws
    -> [PlacementGroupStatus]
  { [] }

  func clusterNodes(caller: PeerID) async throws -> [ClusterNode] {
    state.withLock { state in
      state.registrations.suffix(1).map { registration in
        ClusterNode(
          node: NodeID(caller), name: "node-1", address: "127.0.0.1", hostname: "host", alive: true,
          state: "alive", reason: nil, resources: registration.total,
          available: state.available ?? registration.available, labels: registration.labels)
      }
    }
  }
}
