internal import IorunCore

/// Whether the I/O thread answers heartbeats one by one or a few at once. As a network card holds back
/// its interrupts where packets are dense: a wake-up of either thread of a head costs more than the
/// heartbeat that it is for. Only while nothing but heartbeats comes, so that no call waits behind
/// another. A pure value.
struct HeartbeatPacing: Sendable {
  /// How long the thread sleeps where it would have waited for the next heartbeat. What else comes
  /// over a socket meanwhile waits for so long.
  static let pauseMilliseconds: Int32 = 2
  /// From so many heartbeats a second on.
  static let densePerSecond = 1000
  /// For so long after anything else the thread wakes for each message.
  static let calm = Duration.milliseconds(10)
  private static let window = Duration.milliseconds(100)

  /// True where the thread should sleep for a moment before it looks again.
  private(set) var pauses = false
  private var isDense = false
  private var count = 0
  private var windowBegan = MonotonicTime(nanoseconds: 0)
  private var calmFrom = MonotonicTime(nanoseconds: 0)

  /// Notes what a turn of the thread took.
  mutating func took(heartbeats: Int, other: Bool, now: MonotonicTime) {
    if now - windowBegan >= Self.window {
      let seconds = Double((now - windowBegan).wholeNanoseconds) * 1e-9
      isDense = Double(count) >= Double(Self.densePerSecond) * seconds
      count = 0
      windowBegan = now
    }
    count += heartbeats
    if other { calmFrom = now + Self.calm }
    pauses = isDense && heartbeats > 0 && now >= calmFrom
  }
}
