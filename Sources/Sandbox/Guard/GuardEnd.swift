internal import Synchronization

/// The end of a guard's thread, as whoever ends it sees it: it is asked to end, and waited for.
final class GuardEnd: Sendable {
  private struct State {
    var isWanted = false
    var isReached = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  /// True once somebody wants the thread to end.
  var isWanted: Bool { state.withLock { $0.isWanted } }

  /// Asks the thread to end. Returns once it has.
  func wait() async {
    await withCheckedContinuation { continuation in
      let isReached = state.withLock { state in
        state.isWanted = true
        if !state.isReached { state.waiters.append(continuation) }
        return state.isReached
      }
      if isReached { continuation.resume() }
    }
  }

  /// The last that the thread does.
  func reached() {
    let waiters = state.withLock { state in
      state.isReached = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }
}
