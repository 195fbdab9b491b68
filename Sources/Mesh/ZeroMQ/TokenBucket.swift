/// A token bucket: so much at once, and so much a second from then on. A pure value.
struct TokenBucket: Sendable {
  /// What may be done at once, and in a second from then on.
  struct Rate: Sendable, Hashable {
    /// At once.
    var burst: Double
    /// In a second from then on.
    var perSecond: Double

    /// Names a rate.
    init(burst: Double, perSecond: Double) {
      self.burst = burst
      self.perSecond = perSecond
    }
  }

  private var tokens: Double
  /// When it was looked at last.
  private(set) var at: MonotonicTime

  /// A full one.
  init(_ rate: Rate, now: MonotonicTime) {
    tokens = rate.burst
    at = now
  }

  /// Takes one token; false where there is none.
  mutating func take(_ rate: Rate, now: MonotonicTime) -> Bool {
    fill(rate, now: now)
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }

  /// True where it owes nothing, for what is charged afterwards.
  mutating func isInCredit(_ rate: Rate, now: MonotonicTime) -> Bool {
    fill(rate, now: now)
    return tokens > 0
  }

  /// Takes what something turned out to cost, which may be more than there was.
  mutating func charge(_ count: Int) { tokens -= Double(count) }

  private mutating func fill(_ rate: Rate, now: MonotonicTime) {
    let passed = Double(max(0, (now - at).wholeNanoseconds)) * 1e-9
    tokens = min(rate.burst, tokens + passed * rate.perSecond)
    at = now
  }
}
