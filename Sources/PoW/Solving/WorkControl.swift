internal import Foundation
internal import IorunCore
internal import Synchronization

/// Stops and holds the threads of a solver, and counts what they did. Each looks here between two
/// blocks of a few milliseconds: one relaxed load where nobody asked for anything.
final class WorkControl: Sendable {
  private static let (running, held, stopped) = (0, 1, 2)

  private let state = Atomic<Int>(running)
  private let active = Atomic<Int>(0)
  private let done = Atomic<UInt64>(0)
  /// Guards nothing but the sleep of held threads: the state is atomic, and is set with it held.
  private let condition = NSCondition()

  /// True where the thread may go on; false once the work was cancelled. Sleeps while it is held.
  func pass() -> Bool {
    if state.load(ordering: .relaxed) == Self.running { return true }
    active.subtract(1, ordering: .relaxed)
    condition.lock()
    while state.load(ordering: .relaxed) == Self.held { condition.wait() }
    condition.unlock()
    active.add(1, ordering: .relaxed)
    return state.load(ordering: .relaxed) == Self.running
  }

  /// Runs a thread's work; it counts as active meanwhile.
  func thread<Result>(_ work: () throws -> Result) rethrows -> Result {
    active.add(1, ordering: .relaxed)
    defer { active.subtract(1, ordering: .relaxed) }
    return try work()
  }

  /// Counts work that was done.
  func add(_ units: UInt64) { done.wrappingAdd(units, ordering: .relaxed) }

  /// The work that was done so far.
  var total: UInt64 { done.load(ordering: .relaxed) }

  /// True while no thread computes.
  var isIdle: Bool { active.load(ordering: .relaxed) == 0 }

  /// True once cancelled; that stays so.
  var isCancelled: Bool { state.load(ordering: .relaxed) == Self.stopped }

  /// True while threads are to stand still.
  var isHeld: Bool { state.load(ordering: .relaxed) == Self.held }

  func pause() { change(from: Self.running, to: Self.held) }
  func resume() { change(from: Self.held, to: Self.running) }
  func cancel() {
    condition.lock()
    state.store(Self.stopped, ordering: .relaxed)
    condition.broadcast()
    condition.unlock()
  }

  private func change(from old: Int, to new: Int) {
    condition.lock()
    _ = state.compareExchange(expected: old, desired: new, ordering: .relaxed)
    condition.broadcast()
    condition.unlock()
  }
}
