/// How many chunks of a transfer are on their way at once: as many as keep a fast path busy, and one
/// where the path is so slow that they would hold up what shares it, such as a node's heartbeats.
///
/// Additive increase, multiplicative decrease, by how long each chunk took.
struct TransferPace: Sendable {
  /// A chunk that takes longer than this waits behind others of its kind.
  static let longestWait = Duration.seconds(1)
  /// How many go at first, before the path is known.
  static let firstWidth = 2

  /// The most that are ever on their way.
  let limit: Int
  /// How many may be on their way now, at least one.
  private(set) var width: Int

  init(limit: Int) {
    self.limit = limit
    width = min(Self.firstWidth, limit)
  }

  /// Takes how long a chunk was on its way.
  mutating func finished(after elapsed: Duration) {
    width = elapsed > Self.longestWait ? max(1, width / 2) : min(limit, width + 1)
  }
}
