/// How many handshakes an address may begin under load once it has proved that it is there: 20 a
/// second, five at once. Bounded: what does not fit is refused.
struct SourceLimiter {
  private struct Bucket {
    var tokens: Duration
    var filled: Duration
  }
  private var buckets: [[UInt8]: Bucket] = [:]
  private var swept: Duration = .zero

  private static let cost: Duration = .milliseconds(50)
  private static let most: Duration = .milliseconds(250)
  /// The most addresses that are remembered.
  static let capacity = 4096

  /// Whether a message from that address may be worked on.
  mutating func allows(_ source: [UInt8], now: Duration) -> Bool {
    if now - swept >= .seconds(1) {
      swept = now
      buckets = buckets.filter { now - $0.value.filled < .seconds(1) }
    }
    var bucket = buckets[source] ?? Bucket(tokens: Self.most, filled: now)
    guard buckets[source] != nil || buckets.count < Self.capacity else { return false }
    bucket.tokens = min(Self.most, bucket.tokens + (now - bucket.filled))
    bucket.filled = now
    let isAllowed = bucket.tokens >= Self.cost
    if isAllowed { bucket.tokens -= Self.cost }
    buckets[source] = bucket
    return isAllowed
  }
}
