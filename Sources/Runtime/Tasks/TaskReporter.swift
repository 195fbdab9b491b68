internal import Foundation
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// Tells the agent what becomes of this process's tasks, for `iorun list tasks` and the timeline: in
/// batches, and thinned where there are many.
final class TaskReporter: Sendable {
  enum State: String, Encodable, Sendable {
    case pending = "PENDING"
    case running = "RUNNING"
    case finished = "FINISHED"
    case failed = "FAILED"
    case cancelled = "CANCELLED"
  }

  /// One line of a report: an array, as proto/local.md has it.
  private struct Row: Encodable, Sendable {
    var id: String
    var name: String
    var state: State
    var attempt: UInt16
    var seconds: Double
    var worker: WorkerID?
    var errorType = ""

    func encode(to encoder: any Encoder) throws {
      var values = encoder.unkeyedContainer()
      try values.encode(id)
      try values.encode(name)
      try values.encode(state)
      try values.encode(attempt)
      try values.encode(seconds)
      try values.encode(worker?.description ?? "")
      try values.encode(errorType)
    }
  }

  private struct Report: Encodable { var tasks: [Row] }

  private struct Waiting {
    var rows: [Row] = []
    /// Tasks of which the agent believes that they are not over: their end is told in any case.
    var open: Set<UInt64> = []
    var sentAt = ContinuousClock.now
    var lookedAt = ContinuousClock.now
  }

  private static let pause = Duration.milliseconds(200)
  private static let pauseOfOpen = Duration.seconds(1)
  /// More tasks than that in one report are not told of one by one.
  private static let limit = 400

  private let waiting = Mutex(Waiting())
  /// False until the next report, where this one is full: the hot path looks at nothing else.
  private let isWanted = Atomic<Bool>(true)
  private let hasOpen = Atomic<Bool>(false)
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess) { self.process = process }

  /// A task is over. Of one that ran, where, and how long its worker took.
  func ended(
    _ record: TaskRecord, _ failure: Envelope.RemoteFailure? = nil, on worker: WorkerID? = nil,
    nanoseconds: UInt64 = 0
  ) {
    guard isWanted.load(ordering: .relaxed) || hasOpen.load(ordering: .relaxed) else { return }
    let (attempt, isCancelled) = record.state.withLock { ($0.attempt, $0.isCancelled) }
    let now = Date().timeIntervalSince1970
    waiting.withLock { waiting in
      let wasOpen = waiting.open.remove(record.number) != nil
      guard wasOpen || isWanted.load(ordering: .relaxed) else { return }
      var row = Row(
        id: id(record), name: record.name, state: .running, attempt: attempt,
        seconds: now - Double(nanoseconds) * 1e-9, worker: worker)
      // When it began, of which nobody was told then.
      if worker != nil { waiting.rows.append(row) }
      row.seconds = now
      row.state = failure == nil ? .finished : isCancelled ? .cancelled : .failed
      row.errorType = failure?.typeName ?? ""
      waiting.rows.append(row)
      if waiting.rows.count >= Self.limit { isWanted.store(false, ordering: .relaxed) }
      if waiting.open.isEmpty { hasOpen.store(false, ordering: .relaxed) }
    }
  }

  /// Sends what is due. Called a few times a second.
  func tick(_ queues: [TaskQueue]) {
    let now = ContinuousClock.now
    let looks = waiting.withLock { waiting in
      guard now - waiting.lookedAt >= Self.pauseOfOpen else { return false }
      waiting.lookedAt = now
      return true
    }
    // A task that ends in between is told of after this, and counts.
    if looks { look(queues) }
    let rows = waiting.withLock { waiting -> [Row] in
      guard now - waiting.sentAt >= Self.pause else { return [] }
      waiting.sentAt = now
      defer { waiting.rows = [] }
      return waiting.rows
    }
    isWanted.store(true, ordering: .relaxed)
    if !rows.isEmpty { process.hub.note(.report, Report(tasks: rows)) }
  }

  /// What waits and what runs at this moment, as far as a report has room for it.
  private func look(_ queues: [TaskQueue]) {
    var left = Self.limit
    let now = Date().timeIntervalSince1970
    for queue in queues where left > 0 {
      for task in queue.open(limit: left) {
        left -= 1
        waiting.withLock { waiting in
          // One that is over meanwhile has said so already, or will.
          guard !task.record.isFinished else { return }
          waiting.open.insert(task.record.number)
          hasOpen.store(true, ordering: .relaxed)
          waiting.rows.append(
            Row(
              id: id(task.record), name: task.record.name,
              state: task.isRunning ? .running : .pending,
              attempt: task.record.state.withLock { $0.attempt },
              seconds: task.since.map { now - ($0.duration(to: .now) / .seconds(1)) } ?? now,
              worker: task.worker))
        }
      }
    }
  }

  private func id(_ record: TaskRecord) -> String {
    var bytes = process.worker.bytes
    withUnsafeBytes(of: record.number.littleEndian) { bytes.append(contentsOf: $0) }
    return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

extension TaskQueue {
  /// A task that is not over.
  struct Open {
    let record: TaskRecord
    let isRunning: Bool
    let worker: WorkerID?
    /// Since when it runs, as far as this side can know.
    let since: ContinuousClock.Instant?
  }

  /// Some of the tasks that are not over: those that run first, then the next ones.
  func open(limit: Int) -> [Open] {
    state.withLock { state in
      var open: [Open] = []
      // Workers run what they get in order.
      for lease in state.leases.values where open.count < limit {
        guard let first = lease.inFlight.min(by: { $0.key < $1.key })?.value else { continue }
        open.append(
          Open(
            record: first, isRunning: true, worker: lease.grant.worker, since: lease.progress))
      }
      open += state.pending[state.head...].prefix(limit - open.count)
        .map { Open(record: $0, isRunning: false, worker: nil, since: nil) }
      return open
    }
  }
}
