internal import IorunCore
internal import IorunWire
internal import Synchronization

/// A task as its owner knows it, from its submission until nobody could want it run again.
final class TaskRecord: Sendable {
  enum Phase: Sendable {
    /// Waits for a worker, or for its arguments.
    case queued
    /// Was sent to a worker.
    case pushed(WorkerLease)
    case finished
  }

  struct State: Sendable {
    var phase = Phase.queued
    /// What is to be filled; `nil` where nobody asks for it any more.
    var results: [ObjectHandle?]
    var retriesLeft: Int
    var attempt: UInt16 = 0
    var isCancelled = false
  }

  let number: UInt64
  let name: String
  let arguments: Payload
  let queue: TaskQueue
  let resultCount: Int
  let retriesErrors: Bool
  let stream: StreamState?
  let state: Mutex<State>

  init(
    number: UInt64, name: String, arguments: Payload, queue: TaskQueue, results: [ObjectHandle],
    retries: Int, retriesErrors: Bool, stream: StreamState? = nil
  ) {
    self.number = number
    self.name = name
    self.arguments = arguments
    self.queue = queue
    resultCount = results.count
    self.retriesErrors = retriesErrors
    self.stream = stream
    state = Mutex(State(results: results, retriesLeft: retries < 0 ? .max : retries))
  }

  var isFinished: Bool {
    state.withLock { if case .finished = $0.phase { true } else { false } }
  }

  /// Ends the task with its results.
  func succeed(_ outcomes: [ObjectHandle.Outcome]) {
    for (handle, outcome) in zip(finish(), outcomes) {
      if case .stored = outcome { handle?.task = self }
      handle?.complete(outcome)
    }
    stream?.finish(nil)
  }

  /// Ends the task with an error.
  func fail(_ failure: Envelope.RemoteFailure) {
    for handle in finish() { handle?.complete(.failure(failure)) }
    stream?.finish(failure)
  }

  private func finish() -> [ObjectHandle?] {
    state.withLock { state in
      state.phase = .finished
      // The handles hold the task for its lineage: the task must not hold them.
      defer { state.results = [] }
      return state.results
    }
  }

  /// Prepares the task to run again for a result of it that is lost; false where it may not.
  func revive(for handle: ObjectHandle) -> Bool {
    state.withLock { state in
      guard case .finished = state.phase, state.retriesLeft > 0, stream == nil else { return false }
      state.retriesLeft -= 1
      state.attempt += 1
      state.results = Array(repeating: nil, count: resultCount)
      guard Int(handle.id.index) < resultCount else { return false }
      state.results[Int(handle.id.index)] = handle
      state.phase = .queued
      return true
    }
  }
}
