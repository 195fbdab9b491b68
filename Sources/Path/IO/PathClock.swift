internal import Foundation

/// The machine's monotonic clock.
enum PathClock {
  /// The time since an origin that does not change while the machine runs.
  static func now() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
}
