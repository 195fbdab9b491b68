internal import IorunCore

/// Runs a trace of jobs through a queue policy on a cluster of equal GPUs, in simulated time.
///
/// Every policy has the same jobs, the same GPUs and the same rules: a gang gets all its GPUs or
/// none, and any free GPUs will do (nodes and their fragments are `PackingCluster`'s matter). A job
/// whose lease is taken back goes on from its last checkpoint and pays for the restart. Same trace,
/// same answer.
public struct ClusterSimulation: Sendable {
  /// Who goes first.
  public enum Policy: String, Sendable, CaseIterable {
    /// Strictly first come, first served.
    case fifo
    /// The same with EASY backfill. It is told the true running times, which no user knows: the best
    /// that this policy can do.
    case easy
    /// `GangQueue`, `FairShare`, `Reservation` and `PreemptionPlan`. It is told no running time.
    case ours
  }

  /// What is assumed about the cluster.
  public struct Settings: Sendable, Hashable {
    /// GPUs of the cluster.
    public var gpus: Int
    /// Work is kept each so often; what was done since is lost when a lease is taken back.
    public var checkpointSeconds = 900.0
    /// What a restart costs.
    public var restartSeconds = 60.0
    /// Whether open tails may be taken back (`ours` only).
    public var preempts = true

    /// Usual assumptions on a cluster of so many GPUs.
    public init(gpus: Int) { self.gpus = gpus }
  }

  /// One job's state.
  struct State: Sendable {
    /// What is left to run, without restarts.
    var leftSeconds: Double
    /// How long it has run in all, lost work included.
    var attainedSeconds = 0.0
    var term: LeaseTerm?
    var starts = 0
    var endedAtSeconds: Double?
  }

  let jobs: [SimulatedJob]
  let policy: Policy
  let settings: Settings
  let demands: [QueueDemand]
  var states: [State]
  var now = 0.0
  var freeGPUs: Int
  var running: [Int] = []
  private var placeInRunning: [Int]
  private var ends = BinaryHeap<JobEnd>()
  /// Those who wait, for `fifo` and `easy`.
  var line: [Int] = []
  /// Those who wait, and what they had, for `ours`.
  var queue = GangQueue()
  var shares: FairShare
  /// How long jobs of each tenant run, learnt from those that ended.
  var curves: [Int: SurvivalCurve] = [:]
  var preemptions = 0
  var lostGPUSeconds = 0.0
  /// What happened, where a test wants to know.
  var events: [Event]?

  enum Event: Sendable {
    case starts(job: Int, freeGPUs: Int)
    case preempted(job: Int, ranSeconds: Double)
  }

  /// How often the queue is looked at while nothing happens: open tails begin without an event.
  private static let passSeconds = 300.0

  /// Takes a trace.
  ///
  /// - Throws: `specInvalid` for a cluster without GPUs, or times that are none.
  public init(jobs: [SimulatedJob], policy: Policy, settings: Settings) throws {
    guard (1...10_000_000).contains(settings.gpus), settings.checkpointSeconds > 0,
      settings.checkpointSeconds.isFinite, settings.restartSeconds >= 0,
      settings.restartSeconds.isFinite
    else {
      throw IorunError(
        .specInvalid, "a cluster of \(settings.gpus) GPUs cannot be simulated",
        remedy: "Give a number of GPUs above 0, and times that are finite and not negative")
    }
    self.jobs = jobs.sorted { $0.submittedAtSeconds < $1.submittedAtSeconds }
    self.policy = policy
    self.settings = settings
    demands = try self.jobs.map { try QueueDemand(gpus: Double($0.gpus)) }
    states = self.jobs.map { State(leftSeconds: $0.runtimeSeconds) }
    placeInRunning = Array(repeating: -1, count: jobs.count)
    freeGPUs = settings.gpus
    shares = try FairShare(capacity: QueueDemand(gpus: Double(settings.gpus)))
  }

  /// Runs the whole trace.
  public mutating func run() throws -> ReplayMeasures {
    var next = 0
    var nextPass = Double.infinity
    while true {
      dropStaleEnds()
      let arrival = next < jobs.count ? jobs[next].submittedAtSeconds : .infinity
      let event = min(arrival, ends.first?.atSeconds ?? .infinity, nextPass)
      guard event.isFinite else { break }
      now = max(now, event)
      while let end = ends.first, end.atSeconds <= now {
        ends.popFirst()
        if states[end.job].starts == end.start, states[end.job].term != nil { finish(end.job) }
      }
      while next < jobs.count, jobs[next].submittedAtSeconds <= now {
        if jobs[next].gpus <= settings.gpus { try wait(next) }
        next += 1
      }
      switch policy {
      case .fifo, .easy: passLine()
      case .ours: try passQueue()
      }
      nextPass = queue.count > 0 ? now + Self.passSeconds : .infinity
    }
    var measures = ReplayMeasures(jobs: jobs, endsAtSeconds: states.map(\.endedAtSeconds))
    measures.preemptions = preemptions
    measures.lostGPUHours = lostGPUSeconds / 3600
    return measures
  }

  private mutating func wait(_ job: Int) throws {
    switch policy {
    case .fifo, .easy: line.append(job)
    case .ours:
      try queue.insert(
        GangQueue.Entry(
          id: job, tenant: jobs[job].tenant,
          level: ServiceLevel.level(ofAttainedSeconds: states[job].attainedSeconds),
          demand: demands[job], waitingSinceSeconds: now))
    }
  }

  mutating func start(_ job: Int) {
    events?.append(.starts(job: job, freeGPUs: freeGPUs))
    states[job].starts += 1
    states[job].term = LeaseTerm(startedAtSeconds: now, isOpportunistic: true)
    freeGPUs -= jobs[job].gpus
    placeInRunning[job] = running.count
    running.append(job)
    shares.take(demands[job], by: jobs[job].tenant, atSeconds: now)
    ends.insert(
      JobEnd(
        atSeconds: now + restartCost(job) + states[job].leftSeconds, job: job,
        start: states[job].starts))
  }

  /// Takes a lease back: the job waits again, with what it had at its last checkpoint.
  mutating func preempt(_ job: Int) throws {
    let ran = ranSeconds(job)
    events?.append(
      .preempted(job: job, ranSeconds: now - (states[job].term?.startedAtSeconds ?? now)))
    let kept = min(states[job].leftSeconds, ran - uncheckpointedSeconds(job))
    lostGPUSeconds += (ran - kept + settings.restartSeconds) * Double(jobs[job].gpus)
    states[job].leftSeconds -= kept
    states[job].attainedSeconds += ran
    preemptions += 1
    stop(job)
    try wait(job)
  }

  /// How long the present lease has done work.
  func ranSeconds(_ job: Int) -> Double {
    guard let term = states[job].term else { return 0 }
    return max(0, now - term.startedAtSeconds - restartCost(job))
  }

  /// What of it would be lost.
  func uncheckpointedSeconds(_ job: Int) -> Double {
    ranSeconds(job).truncatingRemainder(dividingBy: settings.checkpointSeconds)
  }

  private func restartCost(_ job: Int) -> Double {
    states[job].starts > 1 ? settings.restartSeconds : 0
  }

  private mutating func finish(_ job: Int) {
    stop(job)
    states[job].endedAtSeconds = now
    curves[jobs[job].tenant, default: SurvivalCurve()]
      .ended(afterSeconds: jobs[job].runtimeSeconds)
  }

  private mutating func stop(_ job: Int) {
    states[job].term = nil
    freeGPUs += jobs[job].gpus
    let place = placeInRunning[job]
    let last = running.removeLast()
    if last != job {
      running[place] = last
      placeInRunning[last] = place
    }
    shares.giveBack(demands[job], by: jobs[job].tenant, atSeconds: now)
  }

  private mutating func dropStaleEnds() {
    while let end = ends.first,
      states[end.job].starts != end.start || states[end.job].term == nil
    { ends.popFirst() }
  }
}
