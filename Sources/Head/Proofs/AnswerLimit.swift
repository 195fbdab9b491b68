/// How many answers a device has handed in lately: a flood of them costs the head a comparison each.
struct AnswerLimit: Sendable {
  private var left: Double
  private var at: Duration
  private let aMinute: Int

  /// Full at `now`.
  init(aMinute: Int, now: Duration) {
    self.aMinute = max(1, aMinute)
    left = Double(self.aMinute)
    at = now
  }

  /// Takes one. False where there is none left.
  mutating func take(at now: Duration) -> Bool {
    left = min(Double(aMinute), left + (now - at).inSeconds * Double(aMinute) / 60)
    at = now
    guard left >= 1 else { return false }
    left -= 1
    return true
  }
}
