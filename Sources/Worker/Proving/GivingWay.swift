internal import IorunPoW
internal import Synchronization

/// The word that somebody wants the machine, on its way to whoever has it: a solver, or a table that
/// waits. It may come on any thread, before there is either, and more than once.
final class GivingWay: Sendable {
  private let state = Mutex<(leave: (@Sendable () -> Void)?, isWanted: Bool)>((nil, false))

  /// True once the machine was wanted.
  var isWanted: Bool { state.withLock { $0.isWanted } }

  /// The solver that has to leave from now on. One that comes after the word is cancelled at once.
  func use(_ solver: Solver) { use { solver.cancel() } }

  /// What is done from now on when the word comes, or at once where it came already. Must not wait.
  func use(_ leave: @escaping @Sendable () -> Void) {
    if state.withLock({ state in
      state.leave = leave
      return state.isWanted
    }) {
      leave()
    }
  }

  /// Somebody wants the machine: the solver's threads leave within their block.
  func want() {
    state.withLock { state in
      state.isWanted = true
      return state.leave
    }?()
  }
}
