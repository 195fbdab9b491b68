internal import IorunContract
import IorunCore
import IorunWire

/// Who may run what on this node: does what `LeaseBroker` and `WorkerPool` decide. Belongs to the hub's
/// thread.
final class HubScheduler {
  /// Gets the grant, or why there is none.
  typealias Deliver = (Hub, Result<RuntimeLease, any Error>) -> Void

  private struct Ask {
    var ticket: HubRequest.Ticket?
    var deliver: Deliver
  }

  /// What is still to be done.
  private enum Step {
    case broker(LeaseBroker.Action)
    case pool(WorkerPool.Action)
  }

  private let node: NodeID
  private let warmWorkers: Int
  private var broker: LeaseBroker
  private var pool: WorkerPool
  private var asks: [LeaseBroker.RequestKey: Ask] = [:]
  private var keys: [HubRequest.Ticket: LeaseBroker.RequestKey] = [:]
  private var nextNumber: UInt64 = 1
  private var steps: [Step] = []
  private var isStepping = false
  private var isTickDue = false
  /// Who uses what nobody else does, and hears when somebody wants it.
  private var scavenger: (amounts: ResourceAmounts, wanted: @Sendable () -> Void)?

  init(settings: HubSettings) {
    node = settings.node
    warmWorkers = settings.warmWorkers
    broker = LeaseBroker(
      node: settings.node, total: settings.total, gpuCount: settings.gpuCount)
    pool = WorkerPool(
      settings: WorkerPool.Settings(
        warmWorkers: settings.warmWorkers, workersOfJob: LocalLimits.connectionsPerJob))
  }

  // MARK: What is there

  /// What is free, never less than nothing.
  var available: ResourceAmounts { broker.available }

  /// How many requests wait.
  var waitingCount: Int { broker.waitingCount }

  /// True where the node has room for the demand now and nobody waits before it.
  func hasRoom(for demand: RuntimeDemand) -> Bool { broker.canGrantNow(demand, .now) }

  /// True where the node could take the demand, were it idle.
  func couldTake(_ demand: RuntimeDemand) -> Bool { broker.couldTake(demand) }

  /// The greatest share in use of any resource that the demand names.
  func load(for demand: RuntimeDemand) -> Double { broker.load(for: demand) }

  /// True where a bundle of the group lies here.
  func hasBundle(_ bundle: RuntimeDemand.Bundle) -> Bool { broker.hasBundle(bundle) }

  // MARK: Leases

  /// Asks for a worker; waits for room unless `waits` is false.
  func request(
    _ demand: RuntimeDemand, _ kind: WorkerPool.Kind, holder: ProcessAddress,
    ticket: HubRequest.Ticket?, waits: Bool = true, _ hub: Hub, deliver: @escaping Deliver
  ) {
    let key = LeaseBroker.RequestKey(holder: holder.worker, number: nextNumber)
    nextNumber += 1
    asks[key] = Ask(ticket: ticket, deliver: deliver)
    if let ticket { keys[ticket] = key }
    run(
      broker.request(key, from: holder, job: kind.job, demand: demand, waits: waits, now: .now),
      hub)
  }

  /// A request is no longer wanted. True where it waited here: it is not delivered any more.
  func cancel(_ ticket: HubRequest.Ticket, _ hub: Hub) -> Bool {
    guard let key = keys[ticket] else { return false }
    _ = takeAsk(key)
    run(broker.cancel(key, now: .now), hub)
    return true
  }

  /// A lease is given back. Unknown ones are those that ended meanwhile.
  func returned(_ id: UInt64, holder: WorkerID, isBroken: Bool, _ hub: Hub) {
    run(broker.returnLease(id, by: holder, isBroken: isBroken, now: .now), hub)
  }

  /// A worker's task waits: its CPU is lent.
  func blocked(_ worker: WorkerID, _ hub: Hub) { run(broker.blocked(worker, now: .now), hub) }

  /// Its task goes on.
  func unblocked(_ worker: WorkerID, _ hub: Hub) {
    broker.unblocked(worker)
    changed(hub)
  }

  /// A worker takes no more calls, and ends by itself when nobody needs its objects.
  func retired(_ worker: WorkerID, _ hub: Hub) {
    pool.retire(worker)
    run(broker.retire(worker, now: .now), hub)
  }

  /// When a worker was given out, as a number that grows; `nil` for one that is idle.
  func order(of worker: WorkerID) -> UInt64? { broker.order(of: worker) }

  /// True where what a worker runs is done again when it is lost.
  func isRetriable(_ worker: WorkerID) -> Bool { broker.isRetriable(worker) }

  // MARK: Workers

  /// A zygote can fork: some workers are made ready before anybody asks.
  func zygoteIsReady(_ environment: HubEnvironment, _ hub: Hub) {
    guard environment.job.record.driver.node == node, environment.hash.isEmpty else { return }
    let kind = WorkerPool.Kind(job: environment.job.id, environment: environment.hash)
    run(pool.prestart(kind, count: warmWorkers), hub)
  }

  /// A worker's process is there; its hello is to come.
  func workerForked(_ worker: WorkerID) { pool.forked(worker, now: .now) }

  /// A worker has said hello.
  func workerArrived(_ process: HubProcess, _ hub: Hub) {
    run(pool.arrived(process.worker, now: .now), hub)
  }

  /// A process is gone: as a holder of leases, as a worker, as an actor.
  func processGone(_ process: HubProcess, _ cause: ProcessLoss, _ hub: Hub) {
    let worker = process.worker
    if let loss = process.startFailure, let kind = pool.startingKind(worker) {
      // No other one would come either.
      run(pool.failed(kind, loss), hub)
    }
    run(pool.gone(worker, process.startFailure ?? cause), hub)
    run(broker.processGone(worker, now: .now), hub)
  }

  /// A holder of leases is gone: what its workers run is of no use.
  func holderGone(_ holder: WorkerID, _ hub: Hub) {
    run(broker.holderGone(holder, now: .now), hub)
  }

  /// A node is gone, with everybody there who held leases.
  func nodeGone(_ node: NodeID, _ hub: Hub) {
    for holder in broker.holders.values.map(\.address) where holder.node == node {
      holderGone(holder.worker, hub)
    }
  }

  /// A job is over. What its processes wait for goes with them.
  func jobOver(_ job: HubJob, _ hub: Hub) {
    run(pool.jobOver(job.id, ProcessLoss(.processLost, "job \(job.id) is over")), hub)
  }

  /// Ends workers that have been idle for a while, and those that do not come.
  func tidy(_ now: ContinuousClock.Instant, _ hub: Hub) { run(pool.tick(now), hub) }

  // MARK: Actors

  /// Holds what an actor needs to be placed.
  ///
  /// - Throws: `overloaded` where there is no room now, `noPlacement` or `notFound` where there never
  ///   is.
  func holdActor(
    _ spec: RuntimeActorSpec, worker: WorkerID, _ hub: Hub
  ) throws -> (UInt64, RuntimeDevices) {
    let hold = try broker.hold(worker, spec.demand)
    changed(hub)
    return (hold.hold, hold.devices)
  }

  /// The actor is constructed: it keeps what it said that it holds.
  func actorIsReady(_ actor: HubActor, _ hub: Hub) {
    run(broker.started(actor.hold, now: .now), hub)
  }

  // MARK: Bundles

  /// Sets bundles aside, all or none.
  ///
  /// - Throws: `overloaded`, `noPlacement`, `wrongState`.
  func prepareBundles(_ reservation: BundleReservation, _ hub: Hub) throws {
    run(try broker.prepare(reservation, now: .now), hub)
  }

  /// What was set aside by an attempt may be used.
  ///
  /// - Throws: `notFound`.
  func commitBundles(_ group: GroupID, epoch: Int64, _ hub: Hub) throws {
    run(try broker.commit(group, epoch: epoch, now: .now), hub)
  }

  /// The bundles that are here for good.
  var reservations: [BundleReservation] { broker.reservations }

  /// Gives back what was prepared and not committed.
  func releaseUncommitted(_ hub: Hub) { run(broker.releaseUncommitted(now: .now), hub) }

  /// Gives bundles back. Returns the workers that run in them.
  func releaseBundles(_ group: GroupID, _ hub: Hub) -> [WorkerID] {
    let (workers, actions) = broker.release(group, now: .now)
    run(actions, hub)
    return workers
  }

  // MARK: Ranks of gangs

  /// Sets aside what a rank holds of the same machine. Throws `wrongState` where it is not free.
  func reserve(_ key: String, _ amounts: ResourceAmounts, gpus: [Int], _ hub: Hub) throws {
    try broker.reserve(key, amounts, gpus: gpus)
    changed(hub)
  }

  /// A rank's hold ends.
  func unreserve(_ key: String, _ hub: Hub) { run(broker.unreserve(key, now: .now), hub) }

  // MARK: What runs while nothing else does

  /// Lets a scavenger use all cores and GPUs and some memory (bytes) until somebody wants any of it. It counts as
  /// nothing that is in use: requests come here as if it were not. `wanted` is called once, on the
  /// hub's thread. False where anything is in use, or a scavenger is here.
  func admitScavenger(memory: Int64, wanted: @escaping @Sendable () -> Void) -> Bool {
    var units = broker.total.units.filter {
      $0.key == ResourceAmounts.cpu || $0.key == ResourceAmounts.gpu
    }
    units[ResourceAmounts.memory] = memory * ResourceAmounts.unitsPerOne
    let amounts = ResourceAmounts(units: units)
    guard scavenger == nil, broker.waitingCount == 0, broker.available.covers(amounts) else {
      return false
    }
    scavenger = (amounts, wanted)
    return true
  }

  /// The scavenger has left.
  func scavengerLeft() { scavenger = nil }

  /// Sends the scavenger away where what it uses is not free any more, or always.
  func endScavenging(always: Bool = false) {
    guard let present = scavenger, always || !broker.available.covers(present.amounts) else {
      return
    }
    scavenger = nil
    present.wanted()
  }

  // MARK: Doing

  private func changed(_ hub: Hub) {
    endScavenging()
    hub.updateSoon()
  }

  private func run(_ actions: [LeaseBroker.Action], _ hub: Hub) {
    for action in actions { steps.append(.broker(action)) }
    step(hub)
  }

  private func run(_ actions: [WorkerPool.Action], _ hub: Hub) {
    for action in actions { steps.append(.pool(action)) }
    step(hub)
  }

  /// Does what is to be done, in order. What is done may call back in here: that is done in turn.
  private func step(_ hub: Hub) {
    guard !isStepping else { return }
    isStepping = true
    var next = 0
    while next < steps.count {
      switch steps[next] {
      case .broker(let action): perform(action, hub)
      case .pool(let action): perform(action, hub)
      }
      next += 1
    }
    steps.removeAll(keepingCapacity: true)
    isStepping = false
    tickLater(hub)
    changed(hub)
  }

  private func perform(_ action: LeaseBroker.Action, _ hub: Hub) {
    switch action {
    case .needsWorker(let grant, let job, let environment, let devices):
      let kind = WorkerPool.Kind(job: job, environment: environment)
      run(pool.want(grant, kind, hasDevices: !devices.isEmpty), hub)
    case .unneeded(let grant): pool.drop(grant)
    case .granted(let key, let lease): takeAsk(key)?.deliver(hub, .success(lease))
    case .refused(let key, let error): takeAsk(key)?.deliver(hub, .failure(error))
    case .workerFree(let worker, let isBroken):
      run(pool.giveBack(worker, isBroken: isBroken, now: .now), hub)
    case .stop(let worker, let reason): hub.end(worker, reason)
    case .recall(let holder, let sole): hub.recall(holder, sole: sole)
    }
  }

  private func perform(_ action: WorkerPool.Action, _ hub: Hub) {
    switch action {
    case .fork(let worker, let kind):
      guard !hub.startWorker(worker, kind) else { return }
      let loss = ProcessLoss(
        .overloaded, "job \(kind.job) is over, or has as many processes here as one may have",
        remedy: "End some of its actors, or wait for its tasks")
      run(pool.failed(kind, loss), hub)
    case .kill(let worker, let reason): hub.end(worker, reason)
    case .attach(let grant, let worker): run(broker.attach(grant, worker), hub)
    case .failed(let grant, let loss):
      run(broker.attachFailed(grant, HubLoss(loss: loss), now: .now), hub)
    }
  }

  private func takeAsk(_ key: LeaseBroker.RequestKey) -> Ask? {
    let ask = asks.removeValue(forKey: key)
    if let ticket = ask?.ticket { keys[ticket] = nil }
    return ask
  }

  private func tickLater(_ hub: Hub) {
    guard !isTickDue, let next = broker.nextTick else { return }
    isTickDue = true
    hub.after(max(.milliseconds(1), next - .now)) { hub in
      hub.scheduler.isTickDue = false
      hub.scheduler.run(hub.scheduler.broker.tick(.now), hub)
    }
  }
}
