internal import IorunCore
internal import IorunWire

/// Who may run what on this node: resources, the queue for them, and the workers that are given out with
/// them. Belongs to the hub's thread.
final class HubScheduler {
  /// Where a hold is taken from.
  enum Place: Hashable {
    case node
    case bundle(GroupID, Int)
  }

  /// Which workers can stand in for each other.
  struct Kind: Hashable {
    var job: JobID
    var environment: String
  }

  /// Gets the grant, or why there is none.
  typealias Deliver = (Hub, Result<RuntimeLease, any Error>) -> Void

  private struct Pending {
    var ticket: HubRequest.Ticket?
    var demand: RuntimeDemand
    var kind: Kind
    var holder: ProcessAddress
    var deliver: Deliver
  }

  private struct Grant {
    var place: Place
    var hold: ResourcePool.Hold
    var kind: Kind
    var holder: ProcessAddress
    var worker: WorkerID?
    var deliver: Deliver?
  }

  private let node: NodeID
  private let warmWorkers: Int
  private var pools: [Place: ResourcePool] = [:]
  private var committed: Set<GroupID> = []
  private var bundleHolds: [Place: ResourcePool.Hold] = [:]
  private var queue: [Pending] = []
  private var grants: [UInt64: Grant] = [:]
  private var nextGrant: UInt64 = 1
  private var grantOfWorker: [WorkerID: UInt64] = [:]
  /// What ranks of gangs hold of this machine.
  private var ranks: [LeaseKey: ResourcePool.Hold] = [:]
  private var idle: [Kind: [(worker: WorkerID, since: ContinuousClock.Instant)]] = [:]
  private var idleCount = 0
  private var starting: [WorkerID: Kind] = [:]
  private var startingCount: [Kind: Int] = [:]
  private var unserved: [Kind: [UInt64]] = [:]
  private var lastRecall = ContinuousClock.now - .seconds(1)
  private var isRecallDue = false

  init(settings: HubSettings) {
    node = settings.node
    warmWorkers = settings.warmWorkers
    let one = ResourceAmounts.unitsPerOne
    pools[.node] = ResourcePool(
      total: settings.total,
      gpus: Dictionary(uniqueKeysWithValues: (0..<settings.gpuCount).map { ($0, one) }))
  }

  // MARK: What is there

  /// What is free, never less than nothing.
  var available: ResourceAmounts {
    ResourceAmounts(units: (pools[.node]?.free.units ?? [:]).filter { $0.value > 0 })
  }

  /// How many requests wait.
  var waitingCount: Int { queue.count }

  /// True where the node has room for the demand now and nobody waits before it.
  func hasRoom(for demand: RuntimeDemand) -> Bool {
    queue.isEmpty && pools[.node]?.fits(demand.resources) == true
  }

  /// True where the node could take the demand, were it idle.
  func couldTake(_ demand: RuntimeDemand) -> Bool {
    pools[.node]?.total.covers(demand.resources) == true
  }

  /// The greatest share in use of any resource that the demand names.
  func load(for demand: RuntimeDemand) -> Double {
    guard let pool = pools[.node] else { return 1 }
    return demand.resources.units.keys.reduce(0) { load, name in
      let total = pool.total[name]
      return total > 0 ? max(load, (total - pool.free[name]) / total) : load
    }
  }

  /// True where a bundle of the group lies here.
  func hasBundle(_ bundle: RuntimeDemand.Bundle) -> Bool {
    places(bundle).isEmpty == false
  }

  private func places(_ bundle: RuntimeDemand.Bundle) -> [Place] {
    guard committed.contains(bundle.group) else { return [] }
    if bundle.index >= 0 {
      let place = Place.bundle(bundle.group, bundle.index)
      return pools[place] == nil ? [] : [place]
    }
    return pools.keys.compactMap { place -> (Int, Place)? in
      if case .bundle(bundle.group, let index) = place { (index, place) } else { nil }
    }
    .sorted { $0.0 < $1.0 }.map(\.1)
  }

  // MARK: Leases

  /// Asks for a worker; waits for room unless `waits` is false.
  func request(
    _ demand: RuntimeDemand, _ kind: Kind, holder: ProcessAddress, ticket: HubRequest.Ticket?,
    waits: Bool = true, _ hub: Hub, deliver: @escaping Deliver
  ) {
    let pending = Pending(
      ticket: ticket, demand: demand, kind: kind, holder: holder, deliver: deliver)
    if (queue.isEmpty || !waits), grant(pending, hub) { return }
    guard waits else {
      deliver(
        hub, .failure(IorunError(.overloaded, "this node has no room for \(demand.resources) now")))
      return
    }
    if grant(pending, hub) { return }
    queue.append(pending)
    changed(hub)
    recallSoon(hub)
  }

  /// A request is no longer wanted. True where it waited here.
  func cancel(_ ticket: HubRequest.Ticket) -> Bool {
    guard let index = queue.firstIndex(where: { $0.ticket == ticket }) else { return false }
    queue.remove(at: index)
    return true
  }

  private func take(_ demand: RuntimeDemand, _ amounts: ResourceAmounts) -> (
    Place, ResourcePool.Hold
  )? {
    for place in demand.bundle.map(places) ?? [.node] {
      if let hold = pools[place]?.take(amounts) { return (place, hold) }
    }
    return nil
  }

  private func grant(_ pending: Pending, _ hub: Hub) -> Bool {
    guard let (place, hold) = take(pending.demand, pending.demand.resources) else { return false }
    let id = nextGrant
    nextGrant += 1
    grants[id] = Grant(
      place: place, hold: hold, kind: pending.kind, holder: pending.holder,
      deliver: pending.deliver)
    changed(hub)
    if let worker = takeIdle(pending.kind) {
      attach(worker, to: id, hub)
    } else {
      unserved[pending.kind, default: []].append(id)
      startIfNeeded(pending.kind, hub)
    }
    return true
  }

  private func attach(_ worker: WorkerID, to id: UInt64, _ hub: Hub) {
    guard var grant = grants[id] else { return }
    let deliver = grant.deliver
    grant.worker = worker
    grant.deliver = nil
    grants[id] = grant
    grantOfWorker[worker] = id
    var index: Int?
    if case .bundle(_, let bundle) = grant.place { index = bundle }
    deliver?(
      hub,
      .success(
        RuntimeLease(
          lease: id, worker: worker, node: node, gpus: grant.hold.indexes, bundle: index)))
  }

  /// A lease is given back. Unknown ones are those that ended meanwhile.
  func returned(_ id: UInt64, holder: WorkerID, isBroken: Bool, _ hub: Hub) {
    guard let grant = grants[id], grant.holder.worker == holder else { return }
    release(id, hub)
    if let worker = grant.worker {
      if isBroken {
        hub.end(worker, of: grant.kind.job, "it was given back as broken")
      } else {
        // First to whoever waits: what it asks for is most often the same again.
        serveQueue(hub)
        giveIdle(worker, grant.kind, hub)
      }
    }
    serveQueue(hub)
  }

  private func release(_ id: UInt64, _ hub: Hub) {
    guard let grant = grants.removeValue(forKey: id) else { return }
    if let worker = grant.worker {
      grantOfWorker[worker] = nil
    } else {
      unserved[grant.kind]?.removeAll { $0 == id }
    }
    pools[grant.place]?.give(grant.hold)
    changed(hub)
  }

  /// A worker's task waits: its CPU is lent.
  func blocked(_ worker: WorkerID, _ hub: Hub) { lend(worker, true, hub) }

  /// Its task goes on.
  func unblocked(_ worker: WorkerID, _ hub: Hub) { lend(worker, false, hub) }

  private func lend(_ worker: WorkerID, _ lends: Bool, _ hub: Hub) {
    guard let id = grantOfWorker[worker], let place = grants[id]?.place else { return }
    if var hold = grants[id]?.hold {
      pools[place]?.lend(&hold, lends)
      grants[id]?.hold = hold
    }
    changed(hub)
    if lends { serveQueue(hub) }
  }

  private func serveQueue(_ hub: Hub) {
    guard !queue.isEmpty else { return }
    var refused: Set<RuntimeDemand> = []
    var left: [Pending] = []
    let present = queue
    queue = []
    for pending in present {
      // The same demand does not fit twice.
      if refused.contains(pending.demand) {
        left.append(pending)
      } else if !grant(pending, hub) {
        refused.insert(pending.demand)
        left.append(pending)
      }
    }
    queue = left + queue
  }

  private func recallSoon(_ hub: Hub) {
    guard !isRecallDue, !queue.isEmpty else { return }
    isRecallDue = true
    let wait = max(.zero, .milliseconds(20) - (.now - lastRecall))
    hub.after(wait) { hub in
      let scheduler = hub.scheduler
      scheduler.isRecallDue = false
      guard !scheduler.queue.isEmpty else { return }
      scheduler.lastRecall = .now
      hub.recallAll()
      scheduler.recallSoon(hub)
    }
  }

  // MARK: Workers

  private func takeIdle(_ kind: Kind) -> WorkerID? {
    guard let last = idle[kind]?.popLast() else { return nil }
    idleCount -= 1
    return last.worker
  }

  private func giveIdle(_ worker: WorkerID, _ kind: Kind, _ hub: Hub) {
    if let id = unserved[kind]?.first {
      unserved[kind]?.removeFirst()
      attach(worker, to: id, hub)
      return
    }
    idle[kind, default: []].append((worker, .now))
    idleCount += 1
    if idleCount > warmWorkers { reapOldest(hub) }
  }

  private func reapOldest(_ hub: Hub) {
    let oldest = idle.compactMap { kind, list in list.first.map { (kind, $0) } }
      .min { $0.1.since < $1.1.since }
    guard let (kind, item) = oldest else { return }
    hub.end(item.worker, of: kind.job, "it was idle")
  }

  private func startIfNeeded(_ kind: Kind, _ hub: Hub) {
    while startingCount[kind, default: 0] < unserved[kind, default: []].count {
      guard let worker = hub.startWorker(kind) else { return }
      starting[worker] = kind
      startingCount[kind, default: 0] += 1
    }
  }

  /// A zygote can fork: some workers are made ready before anybody asks.
  func zygoteIsReady(_ environment: HubEnvironment, _ hub: Hub) {
    guard environment.job.record.driver.node == node, environment.hash.isEmpty else { return }
    let kind = Kind(job: environment.job.id, environment: environment.hash)
    while startingCount[kind, default: 0] + idleCount < warmWorkers {
      guard let worker = hub.startWorker(kind) else { return }
      starting[worker] = kind
      startingCount[kind, default: 0] += 1
    }
  }

  /// A worker has said hello.
  func workerArrived(_ process: HubProcess, _ hub: Hub) {
    guard let kind = starting.removeValue(forKey: process.worker) else { return }
    startingCount[kind, default: 1] -= 1
    giveIdle(process.worker, kind, hub)
  }

  /// A process is gone: as a holder of leases, and as a worker.
  func processGone(_ process: HubProcess, _ cause: ProcessLoss, _ hub: Hub) {
    let worker = process.worker
    if let kind = starting.removeValue(forKey: worker) {
      startingCount[kind, default: 1] -= 1
      // Whoever waits for it is told; all of them where no other could come either.
      let waiting = unserved[kind] ?? []
      let told = process.startFailure == nil ? Array(waiting.prefix(1)) : waiting
      for id in told {
        let deliver = grants[id]?.deliver
        release(id, hub)
        deliver?(hub, .failure(HubLoss(loss: process.startFailure ?? cause)))
      }
      startIfNeeded(kind, hub)
    }
    if let id = grantOfWorker[worker] { release(id, hub) }
    let kind = Kind(job: process.job.id, environment: process.environment)
    if let index = idle[kind]?.firstIndex(where: { $0.worker == worker }) {
      idle[kind]?.remove(at: index)
      idleCount -= 1
    }
    holderGone(worker, hub)
    serveQueue(hub)
  }

  /// A holder of leases is gone: what its workers run is of no use.
  func holderGone(_ holder: WorkerID, _ hub: Hub) {
    queue.removeAll { $0.holder.worker == holder }
    for (id, grant) in grants where grant.holder.worker == holder && !isActor(id) {
      release(id, hub)
      if let worker = grant.worker {
        hub.end(worker, of: grant.kind.job, "the process that it worked for is gone")
      }
    }
    serveQueue(hub)
  }

  /// A node is gone, with everybody there who held leases.
  func nodeGone(_ node: NodeID, _ hub: Hub) {
    let holders = Set(grants.values.filter { $0.holder.node == node }.map(\.holder.worker))
    for holder in holders { holderGone(holder, hub) }
  }

  /// A job is over.
  func jobOver(_ job: HubJob, _ hub: Hub) {
    queue.removeAll { $0.kind.job == job.id }
    for (id, grant) in grants where grant.kind.job == job.id && !isActor(id) { release(id, hub) }
    serveQueue(hub)
  }

  /// Ends workers that have been idle for a while.
  func tidy(_ now: ContinuousClock.Instant, _ hub: Hub) {
    for (kind, list) in idle {
      for item in list where now - item.since > .seconds(60) {
        hub.end(item.worker, of: kind.job, "it was idle")
      }
      if idle[kind]?.isEmpty == true { idle[kind] = nil }
    }
  }

  // MARK: Actors

  private var actorGrants: Set<UInt64> = []
  private func isActor(_ id: UInt64) -> Bool { actorGrants.contains(id) }

  /// Holds what an actor needs to be placed. Throws `overloaded`.
  func holdActor(_ spec: RuntimeActorSpec, worker: WorkerID, _ hub: Hub) throws -> (UInt64, [Int]) {
    let amounts = spec.demand.placement ?? spec.demand.resources
    guard let (place, hold) = take(spec.demand, amounts) else {
      throw IorunError(.overloaded, "this node has no room for \(amounts) now")
    }
    let id = nextGrant
    nextGrant += 1
    let kind = Kind(job: spec.job, environment: spec.demand.environment)
    grants[id] = Grant(place: place, hold: hold, kind: kind, holder: spec.creator, worker: worker)
    grantOfWorker[worker] = id
    actorGrants.insert(id)
    changed(hub)
    return (id, hold.indexes)
  }

  /// The actor is constructed: it keeps what it said that it holds.
  func actorIsReady(_ actor: HubActor, _ hub: Hub) {
    guard actor.spec.demand.placement != nil, let place = grants[actor.hold]?.place else { return }
    if var hold = grants[actor.hold]?.hold {
      pools[place]?.shrink(&hold, to: actor.spec.demand.resources)
      grants[actor.hold]?.hold = hold
    }
    changed(hub)
    serveQueue(hub)
  }

  /// The actor's process is gone.
  func releaseActor(_ actor: HubActor, _ hub: Hub) {
    actorGrants.remove(actor.hold)
    release(actor.hold, hub)
    serveQueue(hub)
  }

  // MARK: Bundles

  /// Sets a group's bundles aside, all or none. Throws `overloaded`.
  func prepareBundles(_ reservation: BundleReservation, _ hub: Hub) throws {
    _ = releaseBundles(reservation.spec.group, hub)
    var taken: [(Place, ResourcePool.Hold)] = []
    for index in reservation.indices {
      guard reservation.spec.bundles.indices.contains(index) else {
        throw IorunError(.malformed, "group \(reservation.spec.group) has no bundle \(index)")
      }
      guard let hold = pools[.node]?.take(reservation.spec.bundles[index]) else {
        for (_, hold) in taken { pools[.node]?.give(hold) }
        throw IorunError(
          .overloaded, "this node has no room for \(reservation.spec.bundles[index]) now")
      }
      taken.append((.bundle(reservation.spec.group, index), hold))
    }
    for (place, hold) in taken {
      bundleHolds[place] = hold
      pools[place] = ResourcePool(total: hold.amounts, gpus: hold.gpus)
    }
    changed(hub)
  }

  /// What was set aside may be used.
  func commitBundles(_ group: GroupID, _ hub: Hub) {
    committed.insert(group)
    serveQueue(hub)
  }

  /// Gives bundles back. Returns the workers that run in them.
  func releaseBundles(_ group: GroupID, _ hub: Hub) -> [WorkerID] {
    committed.remove(group)
    var workers: [WorkerID] = []
    func isInGroup(_ place: Place) -> Bool {
      if case .bundle(group, _) = place { true } else { false }
    }
    for grant in grants.values where isInGroup(grant.place) {
      if let worker = grant.worker { workers.append(worker) }
    }
    for (place, hold) in bundleHolds where isInGroup(place) {
      pools[place] = nil
      bundleHolds[place] = nil
      pools[.node]?.give(hold)
    }
    queue.removeAll { pending in
      guard pending.demand.bundle?.group == group else { return false }
      pending.deliver(
        hub, .failure(IorunError(.notFound, "placement group \(group) was removed")))
      return true
    }
    changed(hub)
    serveQueue(hub)
    return workers
  }

  // MARK: Ranks of gangs

  /// Sets aside what a rank holds of the same machine. Throws `wrongState` where it is not free.
  func reserve(_ key: LeaseKey, _ amounts: ResourceAmounts, gpus: [Int], _ hub: Hub) throws {
    guard ranks[key] == nil else { return }
    guard let hold = pools[.node]?.take(amounts, gpus: gpus) else {
      throw IorunError(
        .wrongState, "runtime jobs hold what lease \(key) needs: only \(available) is free",
        remedy: "Wait for their tasks to end, or run the job on other nodes")
    }
    ranks[key] = hold
    changed(hub)
  }

  /// A rank's hold ends.
  func unreserve(_ key: LeaseKey, _ hub: Hub) {
    guard let hold = ranks.removeValue(forKey: key) else { return }
    pools[.node]?.give(hold)
    changed(hub)
    serveQueue(hub)
  }

  private func changed(_ hub: Hub) { hub.updateSoon() }
}

/// Names a rank's lease.
typealias LeaseKey = String
