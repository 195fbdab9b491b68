internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The tasks that this process has submitted: queues of those that ask for the same, and what becomes of
/// each.
final class TaskScheduler: Sendable {
  private struct State {
    var queues: [RuntimeDemand: TaskQueue] = [:]
    var last: (options: TaskOptions, queue: TaskQueue)?
    /// Which queue a leased worker belongs to.
    var leased: [WorkerID: TaskQueue] = [:]
    var pushed: [UInt64: TaskRecord] = [:]
    var streams: [UInt64: TaskRecord] = [:]
  }

  let pressure = LeasePressure()
  private let reporter: TaskReporter
  private let state = Mutex(State())
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess) {
    self.process = process
    reporter = TaskReporter(process)
  }

  /// What a task that was given up fails with.
  var cancelled: Envelope.RemoteFailure {
    process.errors.encode(IorunError(.cancelled, "the task was cancelled"))
  }

  /// Starts a task once the objects of this process that it refers to are there.
  func submit(
    name: String, arguments: Payload, options: TaskOptions, results: Int,
    stream: StreamState? = nil
  ) throws -> (record: TaskRecord, results: [ObjectHandle]) {
    let size = arguments.bytes.count + 48 * arguments.objects.count
    guard size < LocalLimits.frameBytes - 256 * 1024 else {
      throw IorunError(
        .tooLarge, "the arguments of \(name) have \(size) bytes; at most 31 MiB fit in a message",
        remedy: "Put large values into the object store with `cluster.put` and send the reference")
    }
    let number = process.objects.nextCounter()
    let handles = (0..<UInt32(results)).map { process.objects.make(counter: number, index: $0) }
    let record = TaskRecord(
      number: number, name: name, arguments: arguments, queue: try queue(for: options),
      results: handles, retries: options.maxRetries, retriesErrors: options.retriesErrors,
      stream: stream)
    for handle in handles { handle.task = record }
    state.withLock { state in
      state.pushed[number] = record
      if stream != nil { state.streams[number] = record }
    }
    TaskContext.current?.children.add(record)
    start(record)
    return (record, handles)
  }

  /// Runs a task again whose result is lost; false where it may not.
  func reconstruct(_ handle: ObjectHandle) -> Bool {
    guard let record = handle.task, record.revive(for: handle) else { return false }
    handle.reset()
    state.withLock { $0.pushed[record.number] = record }
    start(record)
    return true
  }

  private func start(_ record: TaskRecord) {
    let missing = record.arguments.objects.filter { $0.isOwned && !$0.isReady }
    guard !missing.isEmpty else { return record.queue.submit(record) }
    let countdown = Countdown(missing.count) {
      if !record.isFinished { record.queue.submit(record) }
    }
    for object in missing where object.whenReady({ countdown.step() }) == nil { countdown.step() }
  }

  private func queue(for options: TaskOptions) throws -> TaskQueue {
    try state.withLock { state in
      // Most tasks ask for the same as the one before: that costs a comparison.
      if let last = state.last, last.options == options { return last.queue }
      let demand = try options.demand(on: process.address.node)
      let queue = state.queues[demand] ?? TaskQueue(demand: demand, process: process)
      state.queues[demand] = queue
      state.last = (options, queue)
      return queue
    }
  }

  // MARK: From the workers

  /// A worker answered for a task.
  func done(_ frame: LocalFrame, from peer: Peer) throws {
    var cursor = FrameCursor(frame.body)
    let nanoseconds = try cursor.integer(UInt64.self)
    let record = state.withLock { state in
      state.streams[frame.header.number] = nil
      return state.pushed.removeValue(forKey: frame.header.number)
    }
    guard let record else { return }
    record.queue.ended(record, on: peer.address.worker, nanoseconds: nanoseconds)
    switch frame.header.aux {
    case ReplyKind.value:
      let count = Int(try cursor.integer(UInt16.self))
      var outcomes: [ObjectHandle.Outcome] = []
      for _ in 0..<count { outcomes.append(try outcome(&cursor)) }
      guard count == record.resultCount else {
        throw IorunError(.malformed, "a task answered with \(count) results")
      }
      reporter.ended(record, on: peer.address.worker, nanoseconds: nanoseconds)
      record.succeed(outcomes)
    case ReplyKind.failure:
      let failure = try Envelope.RemoteFailure(&cursor)
      guard !runsAgain(record) else { return repush([record]) }
      reporter.ended(record, failure, on: peer.address.worker, nanoseconds: nanoseconds)
      record.fail(failure)
    default: throw IorunError(.malformed, "a task ended with kind \(frame.header.aux)")
    }
  }

  private func outcome(_ cursor: inout FrameCursor) throws -> ObjectHandle.Outcome {
    let kind = try cursor.integer(UInt16.self)
    var content = FrameCursor(try cursor.take(Int(try cursor.integer(UInt32.self))))
    switch kind {
    case ReplyKind.value: return .value(try Payload(&content, in: process))
    case ReplyKind.stored: return .stored(try StoredObject(&content, in: process))
    default: throw IorunError(.malformed, "a result of kind \(kind)")
    }
  }

  /// True where a task that has thrown is to be run once more.
  private func runsAgain(_ record: TaskRecord) -> Bool {
    record.state.withLock { state in
      guard record.retriesErrors, !state.isCancelled, state.retriesLeft > 0 else { return false }
      state.retriesLeft -= 1
      state.attempt += 1
      return true
    }
  }

  /// One value of a stream.
  func streamed(_ frame: LocalFrame) throws {
    guard let record = state.withLock({ $0.streams[frame.header.number] }) else { return }
    var cursor = FrameCursor(frame.body)
    record.stream?.append(try Payload(&cursor, in: process))
  }

  /// Lets the worker of a stream make more values.
  func credit(_ number: UInt64, _ count: UInt64) {
    guard let record = state.withLock({ $0.streams[number] }),
      case .pushed(let lease) = record.state.withLock({ $0.phase })
    else { return }
    // Where the worker is gone, the task runs anew with credit of its own.
    try? lease.peer.send(.streamCredit, number: number) { $0.append(integer: count) }
  }

  /// A worker has given tasks back.
  func stolen(_ frame: LocalFrame, from peer: Peer) throws {
    var cursor = FrameCursor(frame.body)
    var numbers: [UInt64] = []
    while !cursor.isAtEnd { numbers.append(try cursor.integer(UInt64.self)) }
    state.withLock { $0.leased[peer.address.worker] }?
      .stolen(numbers, from: peer.address.worker)
  }

  // MARK: Cancelling

  /// Gives a task up. One that waits is not run; one that runs is asked to end, or its process is
  /// ended where `force`.
  func cancel(_ record: TaskRecord, force: Bool, recursive: Bool) {
    let phase = record.state.withLock { state in
      state.isCancelled = true
      return state.phase
    }
    switch phase {
    case .finished: return
    case .queued:
      // One that waits for its arguments is found cancelled when it is pushed.
      _ = record.queue.remove(record)
      finish(record, cancelled)
    case .pushed(let lease):
      // Where the worker is gone, its end fails the task.
      try? lease.peer.send(
        .cancelTask, flags: (force ? 1 : 0) | (recursive ? 2 : 0), number: record.number)
    }
  }

  // MARK: Workers that come and go

  func leased(_ worker: WorkerID, to queue: TaskQueue) {
    state.withLock { $0.leased[worker] = queue }
  }

  func unleased(_ worker: WorkerID, from queue: TaskQueue) {
    // It may be leased to another queue already.
    state.withLock { if $0.leased[worker] === queue { $0.leased[worker] = nil } }
  }

  /// A process is gone. The first of its tasks was running and counts a retry; the others had not
  /// started and are pushed again.
  func lost(_ worker: WorkerID, _ error: IorunError) {
    guard let queue = state.withLock({ $0.leased.removeValue(forKey: worker) }) else { return }
    var again: [TaskRecord] = []
    for (index, record) in queue.lost(worker).enumerated() {
      let fate = record.state.withLock { state -> Bool? in
        if state.isCancelled { return nil }
        guard index == 0 else { return true }
        guard state.retriesLeft > 0 else { return false }
        state.retriesLeft -= 1
        state.attempt += 1
        return true
      }
      switch fate {
      case nil: finish(record, cancelled)
      case true?: again.append(record)
      case false?: finish(record, process.errors.encode(error))
      }
    }
    repush(again)
  }

  /// Ends a task that no worker will answer for.
  func finish(_ record: TaskRecord, _ failure: Envelope.RemoteFailure) {
    state.withLock { state in
      state.pushed[record.number] = nil
      state.streams[record.number] = nil
    }
    reporter.ended(record, failure)
    record.fail(failure)
  }

  private func repush(_ records: [TaskRecord]) {
    state.withLock { state in
      for record in records {
        state.pushed[record.number] = record
        if record.stream != nil { state.streams[record.number] = record }
      }
    }
    for queue in Set(records.map { ObjectIdentifier($0.queue) }) {
      let own = records.filter { ObjectIdentifier($0.queue) == queue }
      own.first?.queue.resubmit(own)
    }
  }

  /// Moves tasks from workers that are stuck to others; true where any task is at a worker.
  func rebalance() -> Bool {
    state.withLock { Array($0.queues.values) }.reduce(false) { $1.rebalance() || $0 }
  }

  /// Gives back leases that have not been used for a while, and tells how tasks stand.
  func tidy() {
    let queues = state.withLock { Array($0.queues.values) }
    for queue in queues { queue.returnIdle() }
    reporter.tick(queues)
  }

  /// Somebody waits for resources: idle leases go back. Where nobody but this process waits, they do
  /// for the sake of tasks that ask for something else, and are kept otherwise.
  func recalled(isOwn: Bool) {
    let queues = state.withLock { Array($0.queues.values) }
    if isOwn {
      guard queues.contains(where: \.hasWaiting) else { return }
    } else {
      pressure.recalled()
    }
    for queue in queues { queue.returnIdle(all: true) }
  }

  /// Runs `body`, which waits for an object: if a task waits, its worker may do something else.
  func waiting<Value: Sendable>(
    _ body: () async throws -> Value
  ) async throws -> Value {
    guard let task = TaskContext.current?.children else { return try await body() }
    if task.beginsToWait() { process.runner.blocked() }
    defer { if task.endsToWait() { process.runner.unblocked() } }
    return try await body()
  }
}

/// Calls something once it has been stepped so many times.
final class Countdown: Sendable {
  private let left: Atomic<Int>
  private let done: @Sendable () -> Void

  init(_ count: Int, _ done: @escaping @Sendable () -> Void) {
    left = Atomic(count)
    self.done = done
  }

  func step() {
    if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { done() }
  }
}
