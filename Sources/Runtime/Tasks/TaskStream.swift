internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The values of a streaming task that have arrived and were not taken yet. Bounded by the credit that
/// the worker was given.
final class StreamState: Sendable {
  /// How many values may be on their way or wait.
  static let limit: UInt64 = 16

  private struct State {
    var values: [Payload] = []
    var received: UInt64 = 0
    var end: Result<Void, FailureBox>?
    var waiter: (@Sendable () -> Void)?
  }

  struct FailureBox: Error { let failure: Envelope.RemoteFailure }

  private let state = Mutex(State())

  /// How many values have arrived, in all attempts.
  var received: UInt64 { state.withLock { $0.received } }

  func append(_ value: Payload) {
    state.withLock { state in
      state.received += 1
      state.values.append(value)
      return state.waiter.take()
    }?()
  }

  func finish(_ failure: Envelope.RemoteFailure?) {
    state.withLock { state in
      if state.end == nil {
        state.end = failure.map { .failure(FailureBox(failure: $0)) } ?? .success(())
      }
      return state.waiter.take()
    }?()
  }

  /// The next value; `nil` at the end.
  func next(_ errors: ErrorRegistry) async throws -> Payload? {
    while true {
      let (value, end) = state.withLock { state in
        (state.values.isEmpty ? nil : state.values.removeFirst(), state.end)
      }
      if let value { return value }
      switch end {
      case .success?: return nil
      case .failure(let box)?: throw errors.decode(box.failure)
      case nil: try await wait()
      }
    }
  }

  private func wait() async throws {
    let gate = WaitGate()
    try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { (done: UnsafeContinuation<Void, any Error>) in
        gate.wait(done)
        let isReady = state.withLock { state in
          guard state.values.isEmpty, state.end == nil else { return true }
          state.waiter = { gate.open() }
          return false
        }
        if isReady { gate.open() }
      }
    } onCancel: {
      gate.cancel()
    }
  }
}

/// How many values a streaming task may send before its consumer takes some.
final class StreamCredit: Sendable {
  private struct State {
    var left = StreamState.limit
    var waiter: WaitGate?
  }

  private let state = Mutex(State())

  func give(_ count: UInt64) {
    let waiter = state.withLock { state in
      let (sum, overflows) = state.left.addingReportingOverflow(count)
      state.left = overflows ? .max : sum
      return state.waiter.take()
    }
    waiter?.open()
  }

  /// Takes the right to send one value, when there is one.
  func take() async throws {
    while true {
      let gate = WaitGate()
      let isTaken = state.withLock { state in
        if state.left > 0 {
          state.left -= 1
          return true
        }
        state.waiter = gate
        return false
      }
      if isTaken { return }
      try await withTaskCancellationHandler {
        try await withUnsafeThrowingContinuation { gate.wait($0) }
      } onCancel: {
        gate.cancel()
      }
    }
  }
}

/// Where a streaming task gives its values to. One value at a time.
public final class StreamWriter<Element: Codable & Sendable>: Sendable {
  private let task: InboundTask
  private let process: ClusterProcess
  private let credit: StreamCredit
  private let written = Atomic<UInt64>(0)

  init(task: InboundTask, process: ClusterProcess) {
    self.task = task
    self.process = process
    credit = process.runner.credit(for: task)
  }

  deinit { process.runner.streamEnded(task.key) }

  /// Sends a value, once the consumer has room for it.
  ///
  /// - Throws: `CancellationError` where the consumer has given up; `tooLarge`.
  public func write(_ element: Element) async throws {
    try Task.checkCancellation()
    // After a fault the task runs anew; what has arrived is not sent again.
    guard written.add(1, ordering: .relaxed).newValue > task.skip else { return }
    try await credit.take()
    let payload = try Payload(element, in: process)
    try process.objects.lend(payload.objects, to: task.peer.address)
    try task.peer.send(.streamItem, number: task.number) { payload.write(to: &$0) }
  }
}

/// The values of a streaming task, as they come. When nobody iterates any more, the task is cancelled.
public struct TaskStream<Element: Codable & Sendable>: AsyncSequence, Sendable {
  let source: StreamSource

  /// Takes the values one after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let source: StreamSource

    /// The next value; `nil` after the last.
    ///
    /// - Throws: what the task threw, or why it could not be run.
    public mutating func next() async throws -> Element? {
      try await source.next()?.decode(Element.self, in: source.process)
    }
  }

  /// Begins to take values. A stream has one consumer.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(source: source) }
}

/// A stream as its consumer holds it.
final class StreamSource: Sendable {
  let record: TaskRecord
  let process: ClusterProcess

  init(record: TaskRecord, process: ClusterProcess) {
    self.record = record
    self.process = process
  }

  deinit {
    if !record.isFinished { process.tasks.cancel(record, force: false, recursive: true) }
  }

  func next() async throws -> Payload? {
    guard let value = try await record.stream?.next(process.errors) else { return nil }
    process.tasks.credit(record.number, 1)
    return value
  }
}
