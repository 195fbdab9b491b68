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

  /// What is usual for one peer, in millions of bits a second.
  public struct Medians: Hashable, Sendable {
    /// From it to others.
    public var sends: Float?
    /// From others to it.
    public var receives: Float?
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

  /// Of each of these peers the median of what was measured from it, and of what was measured to it,
  /// since a moment, in millions of bits a second.
  public func medians(of peers: Set<PeerID>, since moment: Duration) -> [PeerID: Medians] {
    var sent: [PeerID: [Float]] = [:]
    var received: [PeerID: [Float]] = [:]
    for (direction, entry) in entries where entry.measuredAt >= moment {
      if peers.contains(direction.from) {
        sent[direction.from, default: []].append(entry.megabitsPerSecond)
      }
      if peers.contains(direction.to) {
        received[direction.to, default: []].append(entry.megabitsPerSecond)
      }
    }
    func median(_ rates: [Float]?) -> Float? { rates.map { $0.sorted()[$0.count / 2] } }
    return Dictionary(
      uniqueKeysWithValues: peers.map {
        ($0, Medians(sends: median(sent[$0]), receives: median(received[$0])))
      })
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
