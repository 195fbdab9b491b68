/// Which counters have come: each is taken once, and none that lies far behind the newest (RFC 6479,
/// with one word). What a late packet carried is sent again by its session.
struct ReplayWindow: Sendable {
  private static let width: UInt64 = 64

  private var newest: UInt64 = 0
  /// Bit n stands for `newest - n`.
  private var seen: UInt64 = 0

  /// True for a counter that has not come and is not too old. Counters begin with 1.
  func isNew(_ counter: UInt64) -> Bool {
    guard counter > 0 else { return false }
    if counter > newest { return true }
    let age = newest - counter
    return age < Self.width && seen & (1 << age) == 0
  }

  /// Notes a counter, once its packet was found genuine.
  mutating func took(_ counter: UInt64) {
    if counter > newest {
      let step = counter - newest
      seen = step < Self.width ? seen << step | 1 : 1
      newest = counter
    } else if newest - counter < Self.width {
      seen |= 1 << (newest - counter)
    }
  }
}
