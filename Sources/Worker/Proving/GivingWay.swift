internal import IorunPoW
internal import Synchronization

/// The word that somebody wants the machine, on its way to whoever has it: a solver, or a table that
/// waits. It may come on any thread, before there is either, and more than once.
final class GivingWay: Sendable {
  // A struct: a closure in a tuple that is a generic type's value is wrapped once more at each look.
  private struct State {
    var leave: (@Sendable () -> Void)?
    var isWanted = false
  }

  private let state = Mutex(State())

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
