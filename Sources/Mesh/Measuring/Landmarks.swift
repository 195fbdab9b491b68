public import IorunCore

/// How far peers are from landmarks that all of them can measure (relays, the head), and what that says
/// of two that never measured each other: not farther than over the nearest landmark, and not nearer
/// than the difference of their ways to one. A value.
///
/// With many landmarks the least sum alone is a good estimate: on PlanetLab's matrix 16 were 6 % off at
/// the median and 8 were 7 %, where Vivaldi's coordinates after 50 probes of each node were 20 % off.
public struct Landmarks: Sendable {
  /// Where one pair's round trip lies, in milliseconds.
  public struct Bounds: Hashable, Sendable {
    /// Not less.
    public var least: Float
    /// Not more: what the way over a landmark takes.
    public var most: Float
    /// How many landmarks both have measured.
    public var count: Int
  }

  /// With so many the upper bound is the estimate.
  public static let enough = 8
  /// The most that are kept of a peer.
  public static let limit = 64

  private var trips: [PeerID: [PeerID: Float]] = [:]

  /// Knows nothing.
  public init() {}

  /// A peer told its round trips, in milliseconds; they replace what it told before. What cannot be is
  /// ignored.
  public mutating func take(_ told: [PeerID: Double], of peer: PeerID) {
    var kept: [PeerID: Float] = [:]
    for (landmark, milliseconds) in told where landmark != peer && kept.count < Self.limit {
      let trip = Float(milliseconds)
      if trip.isFinite, trip > 0, trip <= 60_000 { kept[landmark] = trip }
    }
    trips[peer] = kept.isEmpty ? nil : kept
  }

  /// Forgets a peer.
  public mutating func forget(_ peer: PeerID) { trips[peer] = nil }

  /// What a peer told.
  public func trips(of peer: PeerID) -> [PeerID: Float] { trips[peer] ?? [:] }

  /// What is known of a pair; `nil` where no landmark was measured by both.
  public func bounds(_ one: PeerID, _ other: PeerID) -> Bounds? {
    guard let here = trips[one], let there = trips[other] else { return nil }
    var bounds = Bounds(least: 0, most: .infinity, count: 0)
    for (landmark, near) in here {
      guard let far = there[landmark] else { continue }
      bounds.least = max(bounds.least, abs(near - far))
      bounds.most = min(bounds.most, near + far)
      bounds.count += 1
    }
    // A triangle that is broken (routes are not straight) bounds nothing from below.
    bounds.least = min(bounds.least, bounds.most)
    return bounds.count > 0 ? bounds : nil
  }

  /// The estimate of a pair's round trip, given what coordinates foretell of it.
  public func estimate(_ one: PeerID, _ other: PeerID, foretold: Float?) -> Float? {
    guard let bounds = bounds(one, other) else { return foretold }
    guard bounds.count < Self.enough, let foretold else { return bounds.most }
    return min(max(foretold, bounds.least), bounds.most)
  }
}
