internal import Synchronization

/// Whether other processes wait for what this one's leases hold: then a lease goes back as soon as it
/// is idle, instead of being kept warm for the next task.
///
/// A process hears of it in two ways. The hub recalls idle leases; whoever holds none at that moment
/// learns it from how long its own request had to wait. The second is guessed, for a busy machine
/// looks the same, so it counts for a moment a second only.
final class LeasePressure: Sendable {
  private struct State {
    var recalledUntil: ContinuousClock.Instant?
    var waitedAt: ContinuousClock.Instant?
  }

  /// For so long after a recall leases go back at once.
  private static let recallLasts = Duration.seconds(1)
  /// A grant of this node that took longer had to wait for somebody.
  private static let longWait = Duration.milliseconds(5)
  /// Leases that come so soon after a long wait go back at once, all their life.
  private static let contendedFor = Duration.milliseconds(50)
  /// A long wait is taken note of this often.
  private static let notedEach = Duration.seconds(1)

  private let state = Mutex(State())

  /// The hub says that somebody waits.
  func recalled(_ now: ContinuousClock.Instant = .now) {
    state.withLock { $0.recalledUntil = now + Self.recallLasts }
  }

  /// A lease on this node was granted after such a wait.
  func waited(_ wait: Duration, _ now: ContinuousClock.Instant = .now) {
    guard wait > Self.longWait else { return }
    state.withLock { state in
      if let last = state.waitedAt, now - last <= Self.notedEach { return }
      state.waitedAt = now
    }
  }

  /// True for a while after a recall.
  func isRecalled(_ now: ContinuousClock.Instant = .now) -> Bool {
    state.withLock { $0.recalledUntil.map { now < $0 } ?? false }
  }

  /// True where a lease that comes now is to go back as soon as it is idle.
  func isContended(_ now: ContinuousClock.Instant = .now) -> Bool {
    state.withLock { $0.waitedAt.map { now - $0 < Self.contendedFor } ?? false }
  }
}
