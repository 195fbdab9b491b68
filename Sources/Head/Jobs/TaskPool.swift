internal import Synchronization

/// Owns the tasks that outlive the call that began them, so that none is left when the head stops.
final class TaskPool: Sendable {
  private struct State {
    var next: UInt64 = 0
    var tasks: [UInt64: Task<Void, Never>] = [:]
    var isClosed = false
  }

  private let state = Mutex(State())
  private let emptied = Doorbell<Bool>()

  /// Runs `body` in a task of its own; does nothing once `close` was called.
  func run(_ body: @escaping @Sendable () async -> Void) {
    state.withLock { state in
      guard !state.isClosed else { return }
      state.next += 1
      let number = state.next
      state.tasks[number] = Task { [weak self] in
        await body()
        self?.finished(number)
      }
    }
  }

  /// True while no task is under way.
  var isEmpty: Bool { state.withLock { $0.tasks.isEmpty } }

  /// Cancels every task and returns once all have ended, or after `patience` where one does not
  /// hear: a call to a node that is cut off may not.
  func close(within patience: Duration, _ clock: HeadClock) async {
    let listener = emptied.listen(to: true)
    let tasks = state.withLock { state in
      state.isClosed = true
      return Array(state.tasks.values)
    }
    if tasks.isEmpty { return }
    for task in tasks { task.cancel() }
    await listener.wait(atMost: patience, clock)
  }

  // A task cannot get here before `run` has entered it: both take the lock.
  private func finished(_ number: UInt64) {
    let isEmpty = state.withLock { state in
      state.tasks[number] = nil
      return state.tasks.isEmpty
    }
    if isEmpty { emptied.ring(true) }
  }
}
