/// A point on a clock that never goes back, in nanoseconds from an origin of the clock's choice.
/// State machines get it from outside and never ask a clock themselves.
public struct MonotonicTime: Hashable, Sendable, Comparable {
  /// Nanoseconds since the origin.
  public var nanoseconds: Int64

  /// Makes a time from nanoseconds since the origin.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// Orders by time.
  public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  /// The time `interval` later.
  public static func + (time: MonotonicTime, interval: Duration) -> MonotonicTime {
    MonotonicTime(nanoseconds: time.nanoseconds + interval.wholeNanoseconds)
  }

  /// How much later `left` is.
  public static func - (left: MonotonicTime, right: MonotonicTime) -> Duration {
    .nanoseconds(left.nanoseconds - right.nanoseconds)
  }
}

extension Duration {
  /// The duration in nanoseconds, rounded down.
  var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
