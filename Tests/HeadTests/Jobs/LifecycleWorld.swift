import IorunContract
import IorunCore
import TestSupport

@testable import IorunHead

/// A small world around one lifecycle: nodes that hold leases, calls and reports under way, and
/// whatever can go wrong with them, drawn from a seed.
struct LifecycleWorld {
  enum Lease: Equatable { case preparing, prepared, running, ended(ExitCause) }

  var random: SeededGenerator
  var job: JobLifecycle
  var leases: [LeaseID: (node: PeerID, epoch: Int64, state: Lease)] = [:]
  var calls: [JobLifecycle.Action] = []
  var epoch: Int64 = 0
  var started: Set<LeaseID> = []
  var prepared: Set<LeaseID> = []
  var faults: [String] = []
  let nodes = (1...4).map { PeerID.sample($0) }

  init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
    let ranks = Int.random(in: 1...4, using: &random)
    let retries = Int.random(in: 0...2, using: &random)
    var spec = JobSpec.sample(ranks: ranks, retries: retries, timeout: 9)
    spec.gang.terms = PlacementTerms()
    spec.gang.terms?.onLoss =
      [nil, .fail, .replace, .shrink][Int.random(in: 0..<4, using: &random)]
    job = JobLifecycle(
      record: JobRecord(
        id: .sample, submissionID: "s", owner: .sample(0),
        spec: spec, workingFolder: nil,
        submittedAt: 0))
  }

  mutating func handle(_ event: JobLifecycle.Event) {
    let before = job.record
    let actions = job.handle(event, at: 1)
    if before.state.isTerminal {
      check(job.record == before, "a terminal job changed")
      check(actions.allSatisfy { if case .forget = $0 { true } else { false } }, "acted after end")
    }
    if job.record.state.isTerminal || job.record.state == .queued {
      check(job.ranks.allSatisfy(\.isEnded), "a granted rank neither ended nor lost at the end")
    }
    var persisted = actions.isEmpty
    for action in actions {
      switch action {
      case .persist: persisted = true
      case .start(_, let lease, _, _):
        started.insert(lease)
        let gang = job.ranks.map(\.lease)
        check(gang.allSatisfy(prepared.contains), "\(lease) started before all were prepared")
        check(persisted || job.record.state == .running, "a start before it was kept")
        calls.append(action)
      case .prepare, .stop, .forget: calls.append(action)
      case .keepOutputs: break
      }
    }
    if job.record.state == .succeeded {
      check(job.ranks.allSatisfy { $0.cause?.isSuccess == true }, "success with a failed rank")
      check(job.ranks.allSatisfy { started.contains($0.lease) }, "success without a start")
    }
  }

  mutating func check(_ holds: Bool, _ fault: String) { if !holds { faults.append(fault) } }

  mutating func place() {
    guard job.record.state == .queued else { return }
    epoch += 1
    var ranks = job.record.ranks
    if job.record.course.repairs > 0, job.record.spec.gang.terms?.onLoss == .shrink {
      ranks = Int.random(in: 1...ranks, using: &random)
    }
    let members = (0..<ranks).map { rank in
      JobLifecycle.Member(
        rank: rank, node: nodes[Int.random(in: 0..<4, using: &random)], nodeName: "n", address: "a",
        gpuIndices: [])
    }
    handle(.placed(members, epoch: epoch))
  }

  /// A call reaches its node.
  mutating func deliver(_ index: Int) {
    switch calls.remove(at: index) {
    case .prepare(let node, let grant):
      if leases[grant.id] == nil { leases[grant.id] = (node, grant.epoch, .preparing) }
      if Int.random(in: 0..<10, using: &random) == 0 {
        leases[grant.id] = nil
        handle(.prepareFailed(grant.id, IorunError(.fileMissing, "no chunk")))
      } else {
        if leases[grant.id]?.state == .preparing { leases[grant.id]?.state = .prepared }
        prepared.insert(grant.id)
        handle(
          .prepared(
            grant.id, LeasePrepared(executor: .sample(50 + grant.id.rank), rendezvousPort: 1)))
      }
    case .start(_, let lease, _, _):
      if leases[lease]?.state == .prepared { leases[lease]?.state = .running }
    case .stop(_, let lease, let cause):
      if leases[lease]?.state == .prepared || leases[lease]?.state == .running {
        leases[lease]?.state = .ended(cause)
      }
    case .forget(_, let lease): leases[lease] = nil
    default: break
    }
  }

  func report(_ lease: LeaseID) -> LeaseReport? {
    guard let held = leases[lease] else { return nil }
    let state: LeaseReport.State =
      switch held.state {
      case .preparing, .prepared: .prepared
      case .running: .running
      case .ended(let cause): .ended(cause, outputs: nil, lastLines: [])
      }
    return LeaseReport(
      id: lease, epoch: held.epoch, executor: .sample(50 + lease.rank), state: state)
  }

  mutating func comeBack(_ node: PeerID) {
    let reports = leases.filter { $0.value.node == node }.keys.sorted().compactMap(report)
    handle(.nodeReturned(node, reports))
  }

  mutating func step() {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<10: place()
    case 10..<55:
      if let index = calls.indices.randomElement(using: &random) { deliver(index) }
    case 55..<70:
      let running = leases.filter { $0.value.state == .running }.keys.sorted()
      if let lease = running.randomElement(using: &random) {
        let status: Int32 = Int.random(in: 0..<4, using: &random) == 0 ? 1 : 0
        leases[lease]?.state = .ended(.exited(status: status))
      }
    case 70..<90:
      if let lease = leases.keys.sorted().randomElement(using: &random), let report = report(lease)
      {
        handle(.report(report))
      }
    case 90..<93:
      let node = nodes[Int.random(in: 0..<4, using: &random)]
      leases = leases.filter { $0.value.node != node }
      if Bool.random(using: &random) { comeBack(node) } else { lose(node) }
    case 93..<96: comeBack(nodes[Int.random(in: 0..<4, using: &random)])
    case 96: handle(Bool.random(using: &random) ? .cancelRequested : .preempted(reason: "urgent"))
    case 97: handle(.timeoutPassed(attempt: job.record.attempt))
    case 98: restartHead()
    default:
      var foreign = JobLifecycle.Event.cancelRequested
      if let lease = job.ranks.first?.lease {
        foreign = .report(
          LeaseReport(
            id: lease, epoch: job.record.epoch - 1, executor: .sample(1),
            state: .ended(.exited(status: 1), outputs: nil, lastLines: [])))
        let before = job.record
        handle(foreign)
        check(job.record == before, "a report of another epoch counted")
      }
    }
  }

  mutating func lose(_ node: PeerID) {
    calls.removeAll { action in
      switch action {
      case .prepare(let target, _), .start(let target, _, _, _), .stop(let target, _, _),
        .forget(let target, _):
        target == node
      default: false
      }
    }
    handle(.nodeLost(node, reason: "silent"))
  }

  /// The head is killed and opened again on what it kept: calls under way are gone.
  mutating func restartHead() {
    job = JobLifecycle(record: job.record, ranks: job.ranks)
    calls = []
    for node in nodes { comeBack(node) }
  }

  /// From here on everything gets through and every process ends well.
  mutating func settle() {
    for _ in 0..<2000 where !job.record.state.isTerminal {
      place()
      while !calls.isEmpty { deliver(0) }
      for lease in leases.keys.sorted() {
        if leases[lease]?.state == .running { leases[lease]?.state = .ended(.exited(status: 0)) }
        if let report = report(lease) { handle(.report(report)) }
      }
    }
    check(job.record.state.isTerminal, "it never ended: \(job.record.state) \(job.ranks)")
  }
}

/// SplitMix64: a short, good generator that a seed fixes.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
