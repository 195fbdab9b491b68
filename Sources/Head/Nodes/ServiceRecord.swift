/// How much of the time that a node was promised to be there it was.
///
/// A loss counts as at least ten minutes, however soon the node is back: that is what it costs the
/// gangs on it. A node without history is believed to be as good as most are, for a day's weight, so
/// that joining anew wins nothing.
struct ServiceRecord: Sendable, Hashable {
  /// Since it joined, while the head watched.
  var promisedSeconds = 0.0
  /// How much of it the node was heard of.
  var servedSeconds = 0.0
  /// How often it was found dead.
  var losses = 0

  /// For how long a node that is gone without a word is missed.
  static let awaited = Duration.seconds(86_400)
  private static let lossSeconds = 600.0
  private static let usual = 0.99
  private static let usualSeconds = 86_400.0

  /// From 0 to 1.
  var reliability: Double {
    let served = servedSeconds + Self.usual * Self.usualSeconds
    let promised = promisedSeconds + Self.usualSeconds + Double(losses) * Self.lossSeconds
    return min(1, max(0, served / promised))
  }

  /// Time went by in which the node was to be there.
  mutating func passed(seconds: Double, isServing: Bool) {
    guard seconds > 0, seconds.isFinite else { return }
    promisedSeconds += seconds
    if isServing { servedSeconds += seconds }
  }

  /// It was found dead.
  mutating func lost() { losses += 1 }
}
