/// How long to wait for an acknowledgement: the estimator of RFC 6298, sections 2 and 5, with bounds
/// that suit a mesh (the RFC's floor of one second would cost a gang a second per lost packet).
struct RetransmissionTimer: Sendable {
  static let minimum = Duration.milliseconds(200)
  static let maximum = Duration.seconds(5)

  private(set) var smoothedRoundTrip: Duration?
  private var variation = Duration.zero
  private var backoff = 1

  /// The wait before the next retransmission.
  var timeout: Duration {
    let base = usualRoundTrip ?? .seconds(1)
    return min(max(base, Self.minimum) * backoff, Self.maximum)
  }

  /// What a round trip seldom exceeds, as far as it was measured: RFC 6298's wait without its floor
  /// and without backing off.
  var usualRoundTrip: Duration? { smoothedRoundTrip.map { $0 + variation * 4 } }

  /// Takes the round trip of a payload that was sent once (Karn's rule).
  mutating func measured(_ roundTrip: Duration) {
    backoff = 1
    guard let smoothed = smoothedRoundTrip else {
      smoothedRoundTrip = roundTrip
      variation = roundTrip / 2
      return
    }
    let error = smoothed > roundTrip ? smoothed - roundTrip : roundTrip - smoothed
    variation = (variation * 3 + error) / 4
    smoothedRoundTrip = (smoothed * 7 + roundTrip) / 8
  }

  /// Doubles the wait after a timeout.
  mutating func expired() { backoff = min(backoff * 2, 64) }

  /// Forgets the backing off: the path is known to work again.
  mutating func pathIsBack() { backoff = 1 }
}
