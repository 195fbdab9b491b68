import IorunCore
import Synchronization

@testable import IorunWorker

/// A machine's book with one entry.
final class FakeMachine: Sendable {
  private let state = Mutex<(isInUse: Bool, wanted: (@Sendable () -> Void)?, takes: Int)>(
    (false, nil, 0))

  var idle: IdleMachine {
    IdleMachine(
      take: { _, wanted in
        self.state.withLock { state in
          guard !state.isInUse, state.wanted == nil else { return false }
          state.wanted = wanted
          state.takes += 1
          return true
        }
      },
      giveBack: { self.state.withLock { $0.wanted = nil } })
  }

  var isTaken: Bool { state.withLock { $0.wanted != nil } }
  /// How often it was taken.
  var takes: Int { state.withLock { $0.takes } }

  /// A job starts.
  func use() {
    state.withLock { state in
      state.isInUse = true
      defer { state.wanted = nil }
      return state.wanted
    }?()
  }
}
