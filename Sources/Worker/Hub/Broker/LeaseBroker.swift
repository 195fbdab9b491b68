import IorunCore
import IorunWire

/// Who may use what of this node for runtime jobs: leases of tasks, actors, bundles of placement groups.
/// A pure value: events go in, what is to be done comes out.
///
/// A request is met in two steps. Its resources are held at once; then a worker is asked for
/// (`needsWorker`), and the lease is granted when it is `attach`ed. What does not fit waits, in order
/// within requests that ask for the same, and others that fit may pass; but who has waited for
/// `patience` is not passed any more by requests for the same resources.
///
/// Hot path: a request that fits, its return, and the next one cost a few dictionary accesses.
struct LeaseBroker: Sendable {
  /// Names a request: its holder-to-be and the number that it chose.
  struct RequestKey: Hashable, Sendable {
    var holder: WorkerID
    var number: UInt64
  }

  /// What is to be done.
  enum Action: Sendable {
    /// Find a worker for this grant and `attach` it.
    case needsWorker(grant: UInt64, job: JobID, environment: String, devices: RuntimeDevices)
    /// No worker is needed for this grant any more.
    case unneeded(grant: UInt64)
    /// Tell the holder.
    case granted(RequestKey, RuntimeLease)
    /// Tell the asker why not.
    case refused(RequestKey, any Error)
    /// A lease is over: the worker is idle, or, where broken, not to be used again.
    case workerFree(WorkerID, isBroken: Bool)
    /// End a worker; what it holds is free once `processGone` says so.
    case stop(WorkerID, reason: String)
    /// Ask a holder for its idle leases. `sole` is the process that waits, where it is the only one.
    case recall(ProcessAddress, sole: ProcessAddress?)
  }

  /// How it behaves.
  struct Settings: Sendable {
    /// After so long nobody passes a waiting request.
    var patience: Duration = .seconds(5)
    /// The first pause between two recalls; it doubles up to `slowestRecall`.
    var recallPause: Duration = .milliseconds(50)
    /// The longest pause between two recalls.
    var slowestRecall: Duration = .seconds(1)
    /// The most requests of one process that wait.
    var waitingOfProcess = 65_536
    /// The most different requests that wait.
    var waitingShapes = 1024
  }

  /// Where a hold's resources come from.
  enum Source: Hashable, Sendable {
    case node
    case bundle(GroupID, Int)

    var bundle: Int? { if case .bundle(_, let index) = self { index } else { nil } }
  }

  /// Resources that somebody has: a lease, or an actor's process.
  struct Hold: Sendable {
    var source: Source
    var holding: ResourcePool.Holding
    /// Units of CPU that its worker lends while it waits.
    var lent: Int64 = 0
    var worker: WorkerID?
    /// A lease's holder, until that is gone; `nil` for an actor.
    var holder: ProcessAddress?
    var request: RequestKey?
    /// What an actor gives back once it has started.
    var startOnly: [String: Int64] = [:]
    /// What runs on a lease is done again where its worker is lost.
    var isRetriable = true
  }

  let node: NodeID
  let settings: Settings
  var pool: ResourcePool
  var groups: [GroupID: Group] = [:]
  var holds: [UInt64: Hold] = [:]
  private var holdOfWorker: [WorkerID: UInt64] = [:]
  /// How many leases each process holds, and from where it asked.
  private(set) var holders: [WorkerID: (count: Int, address: ProcessAddress)] = [:]
  var queue = WaitingRequests()
  private var nextID: UInt64 = 1
  /// What ranks of gangs hold of this machine, by lease.
  private var ranks: [String: ResourcePool.Holding] = [:]
  /// Grants by request, until their workers are there.
  private var unattached: [RequestKey: UInt64] = [:]
  var lastRecall: ContinuousClock.Instant?
  /// How long no holder is asked again.
  var recallPause: Duration

  /// A broker of a node that offers `total`, with GPUs counted from 0.
  init(
    node: NodeID, total: ResourceAmounts, gpuCount: Int, settings: Settings = Settings()
  ) {
    self.node = node
    self.settings = settings
    pool = ResourcePool(total: total, gpuCount: gpuCount)
    recallPause = settings.recallPause
  }

  // MARK: What is free

  /// Everything that the node offers.
  var total: ResourceAmounts { pool.total }

  /// What is free on the node, bundles not counted.
  var available: ResourceAmounts { pool.available }

  /// How many requests wait.
  var waitingCount: Int { queue.count }

  /// True where a request would be met at once.
  func canGrantNow(_ demand: RuntimeDemand, _ now: ContinuousClock.Instant) -> Bool {
    mayPass(demand, now) && source(for: demand) != nil
  }

  /// Why this node can never meet a demand; `nil` where it can.
  func shortfall(_ demand: RuntimeDemand) -> IorunError? {
    let wanted = demand.placement.map { Self.both($0, demand.resources) } ?? demand.resources
    guard let bundle = demand.bundle else {
      return pool.shortfall(wanted).map {
        IorunError(.noPlacement, "this node cannot give \($0)", remedy: "Ask for less")
      }
    }
    return bundleShortfall(bundle, wanted)
  }

  /// True where this node could meet a demand, were it idle; its bundle is not looked at.
  func couldTake(_ demand: RuntimeDemand) -> Bool { pool.couldFit(demand.resources) }

  /// How much of what a demand names is in use, of the scarcest, from 0 to 1.
  func load(for demand: RuntimeDemand) -> Double { pool.load(of: demand.resources.units.keys) }

  /// Sets aside what a rank of a gang holds of the same machine.
  ///
  /// - Throws: `wrongState` where it is not free.
  mutating func reserve(_ rank: String, _ amounts: ResourceAmounts, gpus: [Int]) throws {
    guard ranks[rank] == nil else { return }
    guard let holding = pool.take(amounts, gpus: gpus) else {
      throw IorunError(
        .wrongState,
        "runtime jobs hold what lease \(rank) needs, \(amounts): only \(available) is free",
        remedy: "Wait for their tasks to end, or run the job on other nodes")
    }
    ranks[rank] = holding
  }

  /// A rank's hold ends.
  mutating func unreserve(_ rank: String, now: ContinuousClock.Instant) -> [Action] {
    guard let holding = ranks.removeValue(forKey: rank) else { return [] }
    pool.give(holding)
    return serve(now)
  }

  // MARK: Leases

  /// A process asks for a worker. Where it does not wait, it is refused unless there is room now.
  mutating func request(
    _ key: RequestKey, from holder: ProcessAddress, job: JobID, demand: RuntimeDemand,
    waits: Bool = true, now: ContinuousClock.Instant
  ) -> [Action] {
    let request = WaitingRequest(
      key: key, holder: holder, job: job, environment: demand.environment, since: now,
      isRetriable: demand.isRetriable)
    if mayPass(demand, now), let source = source(for: demand),
      let action = grant(request, demand.resources, from: source)
    {
      return [action]
    }
    if let error = shortfall(demand) { return [.refused(key, error)] }
    guard waits else {
      return [.refused(key, IorunError(.overloaded, "no room for \(demand.resources) now"))]
    }
    let shape = RequestShape(demand)
    guard queue.countOf(holder.worker) < settings.waitingOfProcess,
      queue.knows(shape) || queue.shapeCount < settings.waitingShapes, !queue.contains(key)
    else {
      let error = IorunError(
        .overloaded, "\(queue.count) requests wait on this node already",
        remedy: "Wait for some of them, or use fewer different resources")
      return [.refused(key, error)]
    }
    queue.add(request, shape: shape)
    return serve(now)
  }

  /// A request is not wanted any more. Nothing where it was granted meanwhile.
  mutating func cancel(_ key: RequestKey, now: ContinuousClock.Instant) -> [Action] {
    let error = IorunError(.cancelled, "the request for a worker was taken back")
    if queue.remove(key) { return [.refused(key, error)] + serve(now) }
    guard let id = unattached[key] else { return [] }
    release(id)
    return [.unneeded(grant: id), .refused(key, error)] + serve(now)
  }

  /// The worker of a grant is there.
  mutating func attach(_ id: UInt64, _ worker: WorkerID) -> [Action] {
    guard let hold = holds[id], hold.worker == nil, let request = hold.request else {
      return [.workerFree(worker, isBroken: false)]
    }
    holds[id]?.worker = worker
    holdOfWorker[worker] = id
    unattached[request] = nil
    let devices = hold.holding.devices
    let lease = RuntimeLease(
      lease: id, worker: worker, node: node, gpus: devices.gpus,
      accelerators: devices.others.isEmpty ? nil : devices.others, bundle: hold.source.bundle)
    return [.granted(request, lease)]
  }

  /// There is no worker for a grant.
  mutating func attachFailed(
    _ id: UInt64, _ error: any Error, now: ContinuousClock.Instant
  ) -> [Action] {
    guard let hold = holds[id], hold.worker == nil, let request = hold.request else { return [] }
    release(id)
    return [.refused(request, error)] + serve(now)
  }

  /// A holder gives a lease back. Nothing where it is not its own.
  mutating func returnLease(
    _ id: UInt64, by holder: WorkerID, isBroken: Bool, now: ContinuousClock.Instant
  ) -> [Action] {
    guard let hold = holds[id], hold.holder?.worker == holder, let worker = hold.worker else {
      return []
    }
    release(id)
    let action = Action.workerFree(worker, isBroken: isBroken)
    return queue.isEmpty ? [action] : [action] + serve(now)
  }

  /// A worker takes no more calls, but stays for the objects that it owns: what it held is free.
  mutating func retire(_ worker: WorkerID, now: ContinuousClock.Instant) -> [Action] {
    guard let id = holdOfWorker[worker], holds[id]?.holder != nil else { return [] }
    release(id)
    return serve(now)
  }

  /// When a worker was given out, as a number that grows; `nil` for one that is idle.
  func order(of worker: WorkerID) -> UInt64? { holdOfWorker[worker] }

  /// True where what a worker runs is done again when it is lost; also for an idle one.
  func isRetriable(_ worker: WorkerID) -> Bool {
    holdOfWorker[worker].flatMap { holds[$0]?.isRetriable } ?? true
  }

  // MARK: Workers that wait

  /// A worker's task waits for others: its CPU may be used meanwhile.
  mutating func blocked(_ worker: WorkerID, now: ContinuousClock.Instant) -> [Action] {
    guard let id = holdOfWorker[worker], let hold = holds[id], hold.lent == 0,
      let units = hold.holding.units[ResourceAmounts.cpu]
    else { return [] }
    holds[id]?.lent = units
    change(hold.source) { $0.lend(ResourceAmounts.cpu, units) }
    return serve(now)
  }

  /// The task goes on. Until somebody gives CPU back there may be less than none.
  mutating func unblocked(_ worker: WorkerID) {
    guard let id = holdOfWorker[worker], let hold = holds[id], hold.lent > 0 else { return }
    holds[id]?.lent = 0
    change(hold.source) { $0.lend(ResourceAmounts.cpu, -hold.lent) }
  }

  // MARK: Actors

  /// An actor's process is to be started: holds what it needs to start.
  ///
  /// - Throws: `overloaded` where there is no room now, `noPlacement` or `notFound` where there never
  ///   will be.
  mutating func hold(_ worker: WorkerID, _ demand: RuntimeDemand) throws -> (
    hold: UInt64, devices: RuntimeDevices, bundle: Int?
  ) {
    if let error = shortfall(demand) { throw error }
    let wanted = demand.placement.map { Self.both($0, demand.resources) } ?? demand.resources
    var asked = demand
    asked.resources = wanted
    guard let source = source(for: asked),
      let holding = change(source, { $0.take(wanted) }) ?? nil
    else {
      throw IorunError(.overloaded, "no room for \(wanted) now")
    }
    let id = newID()
    var startOnly: [String: Int64] = [:]
    for (name, units) in holding.units {
      let extra = units - demand.resources.units[name, default: 0]
      if extra > 0 { startOnly[name] = extra }
    }
    holds[id] = Hold(source: source, holding: holding, worker: worker, startOnly: startOnly)
    holdOfWorker[worker] = id
    return (id, holding.devices, source.bundle)
  }

  /// An actor has started: gives back what it needed only for that. GPUs stay, for its process has
  /// seen them.
  mutating func started(_ id: UInt64, now: ContinuousClock.Instant) -> [Action] {
    guard var hold = holds[id], !hold.startOnly.isEmpty else { return [] }
    if hold.lent > 0 {
      change(hold.source) { $0.lend(ResourceAmounts.cpu, -hold.lent) }
      hold.lent = 0
    }
    for (name, extra) in hold.startOnly {
      let left = hold.holding.units[name, default: 0] - extra
      hold.holding.units[name] = left > 0 ? left : nil
    }
    let extra = ResourcePool.Holding(units: hold.startOnly)
    hold.startOnly = [:]
    change(hold.source) { $0.give(extra) }
    holds[id] = hold
    return serve(now)
  }

  // MARK: Ends

  /// A process of this node is gone: what it held, what it was held for, what it waited for.
  mutating func processGone(_ process: WorkerID, now: ContinuousClock.Instant) -> [Action] {
    if let id = holdOfWorker[process] { release(id) }
    return holderGone(process, now: now)
  }

  /// A process, of this node or another one, is gone. Its workers may be in the middle of its tasks:
  /// they are ended.
  mutating func holderGone(_ process: WorkerID, now: ContinuousClock.Instant) -> [Action] {
    let gone = IorunError(.cancelled, "the process that asked is gone")
    var actions: [Action] = queue.remove(allOf: process).map { .refused($0, gone) }
    if holders[process] != nil {
      for (id, hold) in holds where hold.holder?.worker == process {
        if let worker = hold.worker {
          forget(holder: process)
          holds[id]?.holder = nil
          actions.append(.stop(worker, reason: "the process that it worked for is gone"))
        } else {
          release(id)
          actions.append(.unneeded(grant: id))
          if let request = hold.request { actions.append(.refused(request, gone)) }
        }
      }
    }
    return actions + serve(now)
  }

  // MARK: Holds

  /// Meets a request from `source`, which has room. `nil` where it has none after all.
  mutating func grant(
    _ request: WaitingRequest, _ resources: ResourceAmounts, from source: Source
  ) -> Action? {
    guard let holding = change(source, { $0.take(resources) }) ?? nil else { return nil }
    let id = newID()
    holds[id] = Hold(
      source: source, holding: holding, holder: request.holder, request: request.key,
      isRetriable: request.isRetriable)
    holders[request.holder.worker, default: (0, request.holder)].count += 1
    unattached[request.key] = id
    return .needsWorker(
      grant: id, job: request.job, environment: request.environment,
      devices: holding.devices)
  }

  /// A hold is over.
  private mutating func release(_ id: UInt64) {
    guard var hold = holds.removeValue(forKey: id) else { return }
    if let worker = hold.worker { holdOfWorker[worker] = nil }
    if hold.worker == nil, let request = hold.request { unattached[request] = nil }
    if let holder = hold.holder { forget(holder: holder.worker) }
    if hold.lent > 0 { hold.holding.units[ResourceAmounts.cpu]? -= hold.lent }
    change(hold.source) { $0.give(hold.holding) }
  }

  private mutating func forget(holder: WorkerID) {
    guard let count = holders[holder]?.count else { return }
    if count > 1 { holders[holder]?.count = count - 1 } else { holders[holder] = nil }
  }

  private mutating func newID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  /// What is enough to start and to go on.
  static func both(_ left: ResourceAmounts, _ right: ResourceAmounts) -> ResourceAmounts {
    ResourceAmounts(units: left.units.merging(right.units, uniquingKeysWith: max))
  }
}
