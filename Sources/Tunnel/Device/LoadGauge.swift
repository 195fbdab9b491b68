/// Whether so many handshakes wait that their senders must prove their addresses first; and for one
/// second after that.
struct LoadGauge {
  private var loadedUntil: Duration = .zero

  /// How many messages behind the present one are too many.
  static let threshold = 16

  /// Takes in how many wait now, and says whether that is too much.
  mutating func note(waiting: Int, now: Duration) -> Bool {
    if waiting >= Self.threshold { loadedUntil = now + .seconds(1) }
    return now < loadedUntil
  }
}
