import IorunCore
import IorunWire

/// The workers for tasks on this node, by job and runtime environment: which are idle, which are being
/// started, and for whom. A pure value: events go in, what is to be done comes out.
///
/// A worker that comes back is kept warm for the next lease of its kind. One that has had GPUs or other
/// devices is not: it would keep their memory, and cannot be shown others. Nor is one that has run
/// anything given devices: its libraries may have looked already, and have seen none.
///
/// Hot path: taking an idle worker and giving it back cost a few dictionary accesses.
struct WorkerPool: Sendable {
  /// Workers of one kind may stand in for each other.
  struct Kind: Hashable, Sendable {
    var job: JobID
    /// The hash of the runtime environment; empty for the plain one.
    var environment: String
  }

  /// What is to be done.
  enum Action: Sendable {
    /// Start a worker.
    case fork(WorkerID, Kind)
    /// End a worker.
    case kill(WorkerID, reason: String)
    /// A grant has its worker.
    case attach(grant: UInt64, WorkerID)
    /// A grant gets none.
    case failed(grant: UInt64, ProcessLoss)
  }

  /// How it behaves.
  struct Settings: Sendable {
    /// How many idle workers are kept for long.
    var warmWorkers = 1
    /// How long these are kept.
    var idleLimit: Duration = .seconds(60)
    /// How long those beyond are kept: the next wave of tasks may be on its way.
    var surplusLimit: Duration = .seconds(2)
    /// How many of a job's workers are started at the same time.
    var startsAtOnce = 4
    /// How long a worker may take from its fork to its hello.
    var startLimit: Duration = .seconds(60)
    /// So many workers in a row that do not start fail those who wait.
    var failuresInRow = 3
    /// The most workers of a job.
    var workersOfJob = 4096
  }

  private enum State: Hashable, Sendable {
    /// Promised; its fork has not been seen.
    case promised
    /// Forked; has not said hello.
    case starting(since: ContinuousClock.Instant)
    case idle(since: ContinuousClock.Instant)
    case leased(hasDevices: Bool)
    /// Takes no more calls; ends by itself.
    case retired
    /// Told to end.
    case ending
  }

  private struct Worker: Sendable {
    var kind: Kind
    var state: State
    /// Tasks have run in it.
    var isUsed = false
  }

  private struct Grant: Sendable {
    var id: UInt64
    var hasDevices: Bool
  }

  private struct Lot: Sendable {
    /// Idle workers, the longest idle first.
    var idle: [WorkerID] = []
    /// Grants that wait for a worker, in order.
    var waiting: [Grant] = []
    var starting = 0
    /// So many more are to be started, whoever needs them.
    var wished = 0
    var failures = 0
    var isEmpty: Bool { idle.isEmpty && waiting.isEmpty && starting == 0 && wished == 0 }
  }

  private struct Load: Sendable {
    var workers = 0
    var starting = 0
  }

  let settings: Settings
  private var generator: any RandomNumberGenerator & Sendable
  private var workers: [WorkerID: Worker] = [:]
  private var lots: [Kind: Lot] = [:]
  private var loads: [JobID: Load] = [:]

  /// An empty pool; ids of workers are drawn from `generator`.
  init(
    settings: Settings = Settings(),
    generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
  ) {
    self.settings = settings
    self.generator = generator
  }

  /// How many workers there are, in any state.
  var count: Int { workers.count }
  /// How many are idle.
  var idleCount: Int { lots.values.reduce(0) { $0 + $1.idle.count } }

  /// The kind of a worker that has not said hello; `nil` for all others.
  func startingKind(_ worker: WorkerID) -> Kind? {
    guard let entry = workers[worker] else { return nil }
    switch entry.state {
    case .promised, .starting: return entry.kind
    case .idle, .leased, .retired, .ending: return nil
    }
  }

  // MARK: Grants

  /// A grant needs a worker.
  mutating func want(_ grant: UInt64, _ kind: Kind, hasDevices: Bool) -> [Action] {
    let grant = Grant(id: grant, hasDevices: hasDevices)
    // The one that was used last has the warmest caches.
    if let place = lots[kind]?.idle.lastIndex(where: { suits($0, grant) }),
      let worker = lots[kind]?.idle.remove(at: place)
    {
      return [attach(worker, grant)]
    }
    lots[kind, default: Lot()].waiting.append(grant)
    return start(kind)
  }

  /// A grant needs none any more. What is being started for it will be idle.
  mutating func drop(_ grant: UInt64) {
    for kind in Array(lots.keys) { lots[kind]?.waiting.removeAll { $0.id == grant } }
  }

  /// The lease of a worker is over.
  mutating func giveBack(
    _ worker: WorkerID, isBroken: Bool, now: ContinuousClock.Instant
  ) -> [Action] {
    guard let entry = workers[worker], case .leased(let hasDevices) = entry.state else { return [] }
    if isBroken { return kill(worker, "its last task left it unusable") }
    if hasDevices { return kill(worker, "its devices are free for others now") }
    return place(worker, entry.kind, now)
  }

  /// A worker takes no more calls; it ends by itself.
  mutating func retire(_ worker: WorkerID) {
    guard let entry = workers[worker] else { return }
    switch entry.state {
    case .idle: lots[entry.kind]?.idle.removeAll { $0 == worker }
    case .leased: break
    case .promised, .starting, .retired, .ending: return
    }
    workers[worker]?.state = .retired
  }

  // MARK: Workers

  /// Starts workers ahead of need, so that `count` in all are idle or on their way.
  mutating func prestart(_ kind: Kind, count: Int) -> [Action] {
    let idle = lots[kind]?.idle.count ?? 0
    lots[kind, default: Lot()].wished = max(0, count - idle)
    defer { tidy(kind) }
    return start(kind)
  }

  /// A worker's process is there; it has not said hello.
  mutating func forked(_ worker: WorkerID, now: ContinuousClock.Instant) {
    guard workers[worker]?.state == .promised else { return }
    workers[worker]?.state = .starting(since: now)
  }

  /// A worker has said hello.
  mutating func arrived(_ worker: WorkerID, now: ContinuousClock.Instant) -> [Action] {
    guard let entry = workers[worker] else { return [] }
    switch entry.state {
    case .promised, .starting: break
    case .idle, .leased, .retired, .ending: return []
    }
    leftStart(entry.kind)
    lots[entry.kind]?.failures = 0
    if let wished = lots[entry.kind]?.wished, wished > 0 { lots[entry.kind]?.wished = wished - 1 }
    return place(worker, entry.kind, now) + startOthers(entry.kind)
  }

  /// A worker is gone; `loss` says why, where it never came.
  mutating func gone(_ worker: WorkerID, _ loss: ProcessLoss) -> [Action] {
    guard let entry = workers.removeValue(forKey: worker) else { return [] }
    let kind = entry.kind
    defer { tidy(kind) }
    loads[kind.job]?.workers -= 1
    switch entry.state {
    case .promised, .starting:
      leftStart(kind)
      lots[kind, default: Lot()].failures += 1
      guard lots[kind]?.failures ?? 0 >= settings.failuresInRow else { return startOthers(kind) }
      lots[kind]?.failures = 0
      lots[kind]?.wished = 0
      return failAll(kind, loss) + startOthers(kind)
    case .idle: lots[kind]?.idle.removeAll { $0 == worker }
    case .leased, .retired, .ending: break
    }
    return startOthers(kind)
  }

  /// No worker of a kind can be started: all who wait are told. Its promised workers are forgotten.
  mutating func failed(_ kind: Kind, _ loss: ProcessLoss) -> [Action] {
    for (worker, entry) in workers where entry.kind == kind && entry.state == .promised {
      workers[worker] = nil
      leftStart(kind)
      loads[kind.job]?.workers -= 1
    }
    lots[kind]?.wished = 0
    lots[kind]?.failures = 0
    let actions = failAll(kind, loss)
    tidy(kind)
    return actions
  }

  /// A job is over: all its workers are to end, and nobody gets one.
  mutating func jobOver(_ job: JobID, _ loss: ProcessLoss) -> [Action] {
    var actions: [Action] = []
    for kind in lots.keys where kind.job == job {
      actions += failAll(kind, loss)
      lots[kind]?.wished = 0
      lots[kind]?.idle = []
    }
    for (worker, entry) in workers where entry.kind.job == job {
      actions += kill(worker, "its job is over")
    }
    for kind in Array(lots.keys) where kind.job == job { tidy(kind) }
    return actions
  }

  // MARK: Time

  /// Ends workers that are idle for too long or do not come. Looks at every worker: call it once a
  /// second, not once an event.
  mutating func tick(_ now: ContinuousClock.Instant) -> [Action] {
    var actions: [Action] = []
    var idle: [(since: ContinuousClock.Instant, worker: WorkerID)] = []
    for (worker, entry) in workers {
      switch entry.state {
      case .starting(let since) where now - since >= settings.startLimit:
        // Counted as one that did not start when it is gone.
        actions.append(.kill(worker, reason: "it did not say hello in \(settings.startLimit)"))
      case .idle(let since): idle.append((since, worker))
      case .promised, .starting, .leased, .retired, .ending: break
      }
    }
    idle.sort { $0.since < $1.since }
    let surplus = max(0, idle.count - settings.warmWorkers)
    for (place, (since, worker)) in idle.enumerated() {
      let limit = place < surplus ? settings.surplusLimit : settings.idleLimit
      guard now - since >= limit else { continue }
      actions += kill(worker, "it was idle for \(now - since)")
    }
    return actions
  }

  // MARK: The rest

  /// Gives a free worker to who waits, or keeps it.
  private mutating func place(
    _ worker: WorkerID, _ kind: Kind, _ now: ContinuousClock.Instant
  ) -> [Action] {
    guard let place = lots[kind]?.waiting.firstIndex(where: { suits(worker, $0) }),
      let next = lots[kind]?.waiting.remove(at: place)
    else {
      workers[worker]?.state = .idle(since: now)
      lots[kind, default: Lot()].idle.append(worker)
      return []
    }
    return [attach(worker, next)]
  }

  private func suits(_ worker: WorkerID, _ grant: Grant) -> Bool {
    !grant.hasDevices || workers[worker]?.isUsed == false
  }

  private mutating func attach(_ worker: WorkerID, _ grant: Grant) -> Action {
    workers[worker]?.state = .leased(hasDevices: grant.hasDevices)
    workers[worker]?.isUsed = true
    return .attach(grant: grant.id, worker)
  }

  private mutating func start(_ kind: Kind) -> [Action] {
    var actions: [Action] = []
    while let lot = lots[kind] {
      let load = loads[kind.job, default: Load()]
      guard lot.starting < max(lot.waiting.count, lot.wished) else { break }
      guard load.starting < settings.startsAtOnce, load.workers < settings.workersOfJob else {
        break
      }
      let worker = WorkerID(using: &generator)
      workers[worker] = Worker(kind: kind, state: .promised)
      lots[kind]?.starting += 1
      loads[kind.job] = Load(workers: load.workers + 1, starting: load.starting + 1)
      actions.append(.fork(worker, kind))
    }
    return actions
  }

  /// Starts what could not be started before, of this kind first.
  private mutating func startOthers(_ kind: Kind) -> [Action] {
    var actions = start(kind)
    for other in lots.keys where other.job == kind.job && other != kind {
      actions += start(other)
    }
    return actions
  }

  private mutating func kill(_ worker: WorkerID, _ reason: String) -> [Action] {
    guard let entry = workers[worker] else { return [] }
    switch entry.state {
    case .ending: return []
    case .promised, .starting: leftStart(entry.kind)
    case .idle: lots[entry.kind]?.idle.removeAll { $0 == worker }
    case .leased, .retired: break
    }
    workers[worker]?.state = .ending
    return [.kill(worker, reason: reason)]
  }

  private mutating func leftStart(_ kind: Kind) {
    lots[kind]?.starting -= 1
    loads[kind.job]?.starting -= 1
  }

  private mutating func failAll(_ kind: Kind, _ loss: ProcessLoss) -> [Action] {
    let waiting = lots[kind]?.waiting ?? []
    lots[kind]?.waiting = []
    return waiting.map { .failed(grant: $0.id, loss) }
  }

  private mutating func tidy(_ kind: Kind) {
    if let lot = lots[kind], lot.isEmpty { lots[kind] = nil }
    if let load = loads[kind.job], load.workers == 0 { loads[kind.job] = nil }
  }
}
