internal import IorunPoW
internal import Synchronization

/// The word that somebody wants the machine, on its way to the solver that has it. It may come on any
/// thread, before there is a solver, and more than once.
final class GivingWay: Sendable {
  private let state = Mutex<(solver: Solver?, isWanted: Bool)>((nil, false))

  /// True once the machine was wanted.
  var isWanted: Bool { state.withLock { $0.isWanted } }

  /// The solver that has to leave from now on. One that comes after the word is cancelled at once.
  func use(_ solver: Solver) {
    if state.withLock({ state in
      state.solver = solver
      return state.isWanted
    }) {
      solver.cancel()
    }
  }

  /// Somebody wants the machine: the solver's threads leave within their block.
  func want() {
    state.withLock { state in
      state.isWanted = true
      return state.solver
    }?.cancel()
  }
}
