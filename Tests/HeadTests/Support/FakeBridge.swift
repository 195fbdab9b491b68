import Foundation
import IorunContent
import IorunContract
import IorunCore
import IorunWire

@testable import IorunHead

/// A node's runtime side without processes: it counts what it gives, and says no where it has no more.
actor FakeBridge: BridgeService {
  let id: PeerID
  nonisolated let node: NodeID
  let name: String
  var total: ResourceAmounts
  var labels: [String: String] = [:]
  private(set) var used = ResourceAmounts()
  private(set) var leases: [UInt64: (demand: RuntimeDemand, holder: ProcessAddress)] = [:]
  private(set) var running: [RuntimeActorID: RuntimeActorRecord] = [:]
  private(set) var bundles: [GroupID: BundleReservation] = [:]
  private(set) var committed: Set<GroupID> = []
  private(set) var calls: [String] = []
  private(set) var recallsForOne: ProcessAddress?
  private(set) var heard: [RuntimeActorStatus] = []
  private(set) var lostNodes: [NodeID] = []
  private(set) var endedJobs: [JobID] = []
  var jobs: [RuntimeJob] = []
  /// What its processes were promised: actors that other nodes run.
  private var promised: [RuntimeActorRecord] = []
  private var next: UInt64 = 1
  private var updates: UInt64 = 0
  private var refusal: IorunError?
  private var holdsGrants = false
  private var holdsStarts = false

  init(id: PeerID, facts: NodeFacts) {
    self.id = id
    node = NodeID(id)
    name = facts.name
    total = ResourceAmounts(units: ["CPU": Int64(facts.milliCPUs) * 10])
  }

  var available: ResourceAmounts { total - used }

  func set(refusal: IorunError?) { self.refusal = refusal }
  /// Grants are made, but not answered.
  func set(holdsGrants: Bool) { self.holdsGrants = holdsGrants }
  /// Orders to start an actor wait before they are looked at.
  func set(holdsStarts: Bool) { self.holdsStarts = holdsStarts }
  func set(promised: [RuntimeActorRecord]) { self.promised = promised }
  func set(labels: [String: String]) { self.labels = labels }
  func set(total: ResourceAmounts) { self.total = total }

  /// The agent is killed and started again: it holds nothing.
  func forgetAll() {
    used = ResourceAmounts()
    leases = [:]
    running = [:]
    bundles = [:]
    committed = []
    jobs = []
  }

  @discardableResult
  func register(with cluster: any ClusterService) async throws -> [JobID] {
    try await cluster.register(
      ClusterRegistration(
        total: total, available: available, labels: labels,
        drivers: jobs.filter { $0.driver.node == node },
        jobs: jobs.filter { $0.driver.node != node }, actors: running.values + promised,
        bundles: Array(bundles.values)), caller: id)
  }

  func update(_ cluster: any ClusterService) async throws {
    updates += 1
    try await cluster.update(available: available, waiting: 0, number: updates, caller: id)
  }

  func openJob(with cluster: any ClusterService) async throws -> RuntimeJob {
    let launcher = RuntimeJob.Launcher(argv: ["x"], environment: [:], cwd: "/", kind: .zygote)
    let job = try await cluster.openJob(
      RuntimeJob(
        job: JobID("job-00000000")!, name: "test", namespace: "space",
        driver: ProcessAddress(node: node, worker: WorkerID(high: 1, low: node.low)),
        launcher: launcher, startedAt: 0), caller: id)
    jobs.append(job)
    return job
  }

  private func hold(_ amounts: ResourceAmounts) throws {
    if let refusal { throw refusal }
    guard available.covers(amounts) else { throw IorunError(.overloaded, "no room") }
    used += amounts
  }

  func grantLease(
    _ demand: RuntimeDemand, job: RuntimeJob, holder: ProcessAddress, caller: PeerID
  ) async throws -> RuntimeLease {
    calls.append("grant")
    do {
      try hold(demand.bundle == nil ? demand.resources : ResourceAmounts())
    } catch {
      // Said no, but the answer is on its way.
      while holdsGrants { try await Task.sleep(for: .milliseconds(1)) }
      throw error
    }
    next += 1
    let number = next
    leases[number] = (demand, holder)
    while holdsGrants { try await Task.sleep(for: .milliseconds(1)) }
    return RuntimeLease(
      lease: number, worker: WorkerID(high: node.low, low: number), node: node, gpus: [],
      bundle: demand.bundle?.index)
  }

  func returnLease(_ lease: UInt64, holder: ProcessAddress, broken: Bool, caller: PeerID)
    async throws
  {
    calls.append("return")
    if let held = leases.removeValue(forKey: lease) { used -= held.demand.resources }
  }

  func startActor(
    _ spec: RuntimeActorSpec, incarnation: Int, restarts: Int, job: RuntimeJob, caller: PeerID
  ) async throws -> WorkerID {
    calls.append("start")
    while holdsStarts { try await Task.sleep(for: .milliseconds(1)) }
    try hold(spec.demand.resources)
    var status = RuntimeActorStatus(spec, state: .placed)
    status.incarnation = incarnation
    status.node = node
    let worker =
      incarnation == 1
      ? WorkerID(high: spec.actor.high, low: spec.actor.low)
      : WorkerID(high: spec.actor.high, low: spec.actor.low &+ UInt64(incarnation))
    status.worker = worker
    running[spec.actor] = RuntimeActorRecord(spec: spec, status: status)
    return worker
  }

  func stopActor(_ actor: RuntimeActorID, reason: ProcessLoss, inOrder: Bool, caller: PeerID)
    async throws
  {
    calls.append(inOrder ? "stop in order" : "stop")
    if let held = running.removeValue(forKey: actor) { used -= held.spec.demand.resources }
  }

  /// What the node says of an actor's process.
  func status(_ actor: RuntimeActorID, _ state: RuntimeActorStatus.State, intended: Bool = false)
    -> RuntimeActorStatus?
  {
    guard var status = running[actor]?.status else { return nil }
    status.state = state
    if state == .dead {
      var detail = ProcessLoss.Detail()
      detail.intended = intended
      status.cause = ProcessLoss(.processLost, "it was killed", detail: detail)
      if let held = running.removeValue(forKey: actor) { used -= held.spec.demand.resources }
    }
    return status
  }

  func actorChanged(_ status: RuntimeActorStatus, caller: PeerID) async throws {
    heard.append(status)
  }

  func prepareBundles(_ reservation: BundleReservation, caller: PeerID) async throws {
    calls.append(reservation.commits ? "prepare and commit" : "prepare")
    try hold(reservation.indices.reduce(ResourceAmounts()) { $0 + reservation.spec.bundles[$1] })
    var reservation = reservation
    reservation.indices += bundles[reservation.spec.group]?.indices ?? []
    bundles[reservation.spec.group] = reservation
    if reservation.commits { committed.insert(reservation.spec.group) }
  }

  func commitBundles(_ group: GroupID, epoch: Int64, caller: PeerID) async throws {
    calls.append("commit")
    if bundles[group]?.epoch == epoch { committed.insert(group) }
  }

  func releaseBundles(_ group: GroupID, caller: PeerID) async throws {
    calls.append("release")
    committed.remove(group)
    guard let held = bundles.removeValue(forKey: group) else { return }
    used -= held.indices.reduce(ResourceAmounts()) { $0 + held.spec.bundles[$1] }
  }

  func recall(sole: ProcessAddress?, caller: PeerID) async throws {
    calls.append("recall")
    recallsForOne = sole
  }

  func endJob(_ job: JobID, reason: String, caller: PeerID) async throws { endedJobs.append(job) }

  func nodeLost(_ node: NodeID, reason: String, caller: PeerID) async throws {
    lostNodes.append(node)
  }

  func list(_ kind: String, job: JobID?, limit: Int, caller: PeerID) async throws -> String { "[]" }

  func deliver(_ job: JobID, _ segment: Data, caller: PeerID) async throws {}

  func echo(caller: PeerID) async throws {}

  func processLost(_ job: JobID, _ process: ProcessAddress, _ cause: ProcessLoss, caller: PeerID)
    async throws
  {}

  func fetch(_ job: JobID, object: Data, offset: Int64, count: Int, caller: PeerID) async throws
    -> Data
  { throw IorunError(.objectLost, "no object") }

  func program(_ job: JobID, caller: PeerID) async throws -> Blob {
    throw IorunError(.notFound, "no program")
  }

  func workingFolder(_ job: JobID, environment: String, caller: PeerID) async throws -> Blob {
    throw IorunError(.notFound, "no folder")
  }

  func free(_ job: JobID, objects: [Data], caller: PeerID) async throws {}
}
