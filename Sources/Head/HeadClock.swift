/// Where the head takes its time from: one clock to wait and measure by, one for the calendar.
/// Tests put a manual clock here.
public struct HeadClock: Sendable {
  /// The time since the clock was made; never goes back.
  let elapsed: @Sendable () -> Duration
  /// Waits; throws `CancellationError` where the task is cancelled.
  let sleep: @Sendable (Duration) async throws -> Void
  /// Seconds since 1970 (UTC).
  let now: @Sendable () -> Double

  /// One instant by both clocks.
  struct Moment: Sendable {
    /// Seconds since 1970 (UTC).
    let wall: Double
    let elapsed: Duration
  }

  /// This instant.
  var moment: Moment { Moment(wall: now(), elapsed: elapsed()) }

  /// `elapsed` as those probes take it that know no other clock.
  func elapsedNanoseconds() -> UInt64 { UInt64(max(0, elapsed() / .nanoseconds(1))) }

  /// Makes a clock.
  ///
  /// - Parameters:
  ///   - clock: what to wait and measure by.
  ///   - now: seconds since 1970 (UTC).
  public init<Source: Clock<Duration>>(
    _ clock: Source, now: @escaping @Sendable () -> Double
  ) {
    let start = clock.now
    elapsed = { start.duration(to: clock.now) }
    sleep = { try await clock.sleep(until: clock.now.advanced(by: $0), tolerance: nil) }
    self.now = now
  }
}
