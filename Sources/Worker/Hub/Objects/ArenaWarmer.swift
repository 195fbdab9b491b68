internal import Foundation
internal import Synchronization

/// Gives an arena its pages ahead of use, from the low end up, on a thread of the lowest priority: an
/// object that is put into warm pages is copied at memory's speed.
final class ArenaWarmer: Sendable {
  /// How much is populated at once: short enough that the thread yields often.
  static let step: Int64 = 8 << 20

  private struct State {
    var goal: Int64 = 0
    var done: Int64 = 0
    var isRunning = false
    var isOver = false
  }

  private let arena: ArenaFile
  private let limit: Int64
  private let state = Mutex(State())

  /// - Parameter limit: never warms more than this.
  init(_ arena: ArenaFile, limit: Int64) {
    self.arena = arena
    self.limit = min(limit, arena.size)
  }

  /// How much is warm.
  var warmBytes: Int64 { state.withLock { $0.done } }

  /// Warms up to `offset`; returns at once.
  func warm(upTo offset: Int64) {
    let starts = state.withLock { state in
      state.goal = max(state.goal, min(offset, limit))
      guard !state.isOver, !state.isRunning, state.done < state.goal else { return false }
      state.isRunning = true
      return true
    }
    guard starts else { return }
    let thread = Thread { self.run() }
    thread.name = "iorun-warmer"
    thread.start()
  }

  /// Stops soon; what is warm stays so.
  func stop() { state.withLock { $0.isOver = true } }

  private func run() {
    // On Linux a thread has a priority of its own.
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
    while true {
      let next = state.withLock { state -> (Int64, Int64)? in
        guard !state.isOver, state.done < state.goal else {
          state.isRunning = false
          return nil
        }
        return (state.done, min(Self.step, state.goal - state.done))
      }
      guard let (offset, count) = next else { return }
      let worked = arena.populate(offset, count)
      state.withLock { state in
        state.done += count
        // Without the call, or without memory, pages come as they are written.
        if !worked { state.isOver = true }
      }
    }
  }
}
