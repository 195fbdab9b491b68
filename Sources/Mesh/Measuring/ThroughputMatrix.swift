public import IorunCore

/// How fast bytes went from one peer to another when that was tried last: sparse, each direction for
/// itself, with its age. A value; time is an argument.
public struct ThroughputMatrix: Sendable {
  /// One direction of one pair.
  public struct Entry: Hashable, Sendable {
    /// Millions of bits a second.
    public var megabitsPerSecond: Float
    /// When it was measured.
    public var measuredAt: Duration
  }

  private struct Direction: Hashable {
    let from: PeerID
    let to: PeerID
  }

  /// What counts as a throughput: up to 10 Tb/s.
  static let fastest: Float = 1e7

  private var entries: [Direction: Entry] = [:]
  private let limit: Int

  /// An empty matrix of at most `limit` directions.
  public init(limit: Int = 200_000) { self.limit = limit }

  /// How many directions were measured.
  public var count: Int { entries.count }

  /// What was measured from one peer to another.
  public func entry(from one: PeerID, to other: PeerID) -> Entry? {
    entries[Direction(from: one, to: other)]
  }

  /// Takes a measurement. What cannot be is ignored, and a direction that finds no room, too.
  public mutating func take(
    from one: PeerID, to other: PeerID, megabitsPerSecond: Float, at now: Duration
  ) {
    let direction = Direction(from: one, to: other)
    guard one != other, megabitsPerSecond.isFinite, megabitsPerSecond > 0,
      megabitsPerSecond <= Self.fastest, entries[direction] != nil || entries.count < limit
    else { return }
    entries[direction] = Entry(megabitsPerSecond: megabitsPerSecond, measuredAt: now)
  }

  /// Forgets what concerns a peer.
  public mutating func forget(_ peer: PeerID) {
    entries = entries.filter { $0.key.from != peer && $0.key.to != peer }
  }
}
