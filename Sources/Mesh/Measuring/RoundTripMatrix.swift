public import IorunCore

/// What was measured between pairs of peers: a sparse matrix, the same in both directions, whose age is
/// known. A value; time is an argument.
public struct RoundTripMatrix: Sendable {
  /// One pair.
  public struct Entry: Sendable {
    /// The last round trip, in milliseconds.
    public private(set) var newest: Float
    /// The last three.
    private var recent: [Float]
    /// The least of the present window and of the one before.
    private var minima: (present: Float, before: Float)
    private var windowBegan: Duration
    /// How much one round trip differs from the next, in milliseconds, smoothed (RFC 3550 6.4.1).
    public private(set) var jitter: Float = 0
    /// The part of probes that were lost, smoothed.
    public private(set) var loss: Float
    /// When it was measured last.
    public private(set) var measuredAt: Duration

    /// The median of the last three: no single delay shows in it.
    public var median: Float { recent.sorted()[recent.count / 2] }

    /// The least of the last five to ten minutes: the way without its queues.
    public var least: Float { min(minima.present, minima.before) }

    fileprivate init(_ sample: Float, at now: Duration) {
      newest = sample
      recent = [sample]
      minima = (sample, sample)
      windowBegan = now
      loss = 0
      measuredAt = now
    }

    fileprivate mutating func take(_ sample: Float, at now: Duration) {
      jitter += (abs(sample - newest) - jitter) / 16
      loss -= loss / 16
      newest = sample
      recent = (recent + [sample]).suffix(3)
      let age = now - windowBegan
      if age >= RoundTripMatrix.window {
        // What is older than two windows says nothing of the way as it is now.
        minima = (sample, age >= RoundTripMatrix.window * 2 ? sample : minima.present)
        windowBegan = now
      } else {
        minima.present = min(minima.present, sample)
      }
      measuredAt = now
    }

    fileprivate mutating func lose(at now: Duration) {
      loss += (1 - loss) / 16
      measuredAt = now
    }
  }

  private struct Pair: Hashable {
    let lower: PeerID
    let higher: PeerID

    init(_ one: PeerID, _ other: PeerID) {
      (lower, higher) = one < other ? (one, other) : (other, one)
    }
  }

  /// How long the least round trip is remembered at least.
  static let window = Duration.seconds(300)
  /// The most milliseconds that count as a round trip.
  static let longest: Float = 10_000

  private var entries: [Pair: Entry] = [:]
  private let limit: Int

  /// An empty matrix of at most `limit` pairs.
  public init(limit: Int = 200_000) { self.limit = limit }

  /// How many pairs were measured.
  public var count: Int { entries.count }

  /// What was measured between two peers.
  public func entry(_ one: PeerID, _ other: PeerID) -> Entry? { entries[Pair(one, other)] }

  /// Takes a measurement; `nil` for a probe that was lost. What cannot be is ignored, and a pair that
  /// finds no room any more, too.
  public mutating func take(
    _ one: PeerID, _ other: PeerID, milliseconds: Float?, at now: Duration
  ) {
    guard one != other else { return }
    let pair = Pair(one, other)
    guard let milliseconds else {
      entries[pair]?.lose(at: now)
      return
    }
    guard milliseconds.isFinite, milliseconds > 0, milliseconds <= Self.longest else { return }
    if entries[pair] == nil {
      if entries.count < limit { entries[pair] = Entry(milliseconds, at: now) }
    } else {
      entries[pair]?.take(milliseconds, at: now)
    }
  }

  /// Forgets what concerns a peer.
  public mutating func forget(_ peer: PeerID) {
    entries = entries.filter { $0.key.lower != peer && $0.key.higher != peer }
  }

  /// Of `candidates`, those whose way to `peer` was measured the longest ago or never.
  public func stalest(_ candidates: some Sequence<PeerID>, for peer: PeerID, count: Int) -> [PeerID]
  {
    let aged = candidates.filter { $0 != peer }.map { candidate in
      (candidate, entries[Pair(peer, candidate)]?.measuredAt ?? .seconds(-1))
    }
    // Of those never measured, each peer asks others first.
    return aged.sorted { left, right in
      left.1 == right.1
        ? left.0.low ^ peer.low < right.0.low ^ peer.low : left.1 < right.1
    }.prefix(count).map(\.0)
  }
}
