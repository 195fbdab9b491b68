public import IorunCore

/// Devices for a gang, and what is to be said of them.
public struct GangChoice: Sendable, Hashable {
  /// A bundle's place.
  public struct Member: Sendable, Hashable {
    /// The kind of bundle, by its place in the demand.
    public var kind: Int
    /// The machine's row in the inventory.
    public var row: Int
    /// The machine.
    public var device: PeerID
  }

  /// A place for each bundle, by kind and then as they were chosen.
  public var members: [Member]
  /// Machines for lost members' places, as far as they were found.
  public var spares: [Member]
  /// The strategy that fitted, and how many were tried before.
  public var strategy: GangDemand.Strategy
  /// 0 for the demand's own strategy, 1 for its first fallback.
  public var fallback: Int
  /// The longest round trip between two machines, in milliseconds, as far as the sites' are known; 0
  /// where all are in one site.
  public var maxRTTMilliseconds: Float
  /// No gang of this demand has a shorter one: proved. 0 where that was not looked for.
  public var lowerBoundMilliseconds: Float
  /// The sites, ascending; empty where machines have none.
  public var sites: [Int]
  /// Millionths of a dollar for an hour of all bundles, without spares.
  public var microdollarsPerHour: Int
  /// The product of the machines' reliabilities.
  public var reliability: Double
  /// Why these, a sentence each.
  public var reasons: [String] = []

  /// How much longer than the shortest possible the longest round trip can be at most, as a part.
  public var optimalityGap: Float {
    guard maxRTTMilliseconds > lowerBoundMilliseconds else { return 0 }
    guard lowerBoundMilliseconds > 0 else { return .infinity }
    return maxRTTMilliseconds / lowerBoundMilliseconds - 1
  }
}

/// What became of a demand: the whole gang has places, or none of it has.
public enum GangOutcome: Sendable, Hashable {
  /// Every bundle has a place.
  case placed(GangChoice)
  /// None has one: why, and what would help.
  case refused(GangRefusal)
}

/// Why a gang was not placed.
public struct GangRefusal: Sendable, Hashable {
  /// What cannot be meant; `nil` where the demand is sensible.
  public var objection: String?
  /// What became of all devices, a funnel for each kind of bundle.
  public var funnels: [FilterFunnel]
  /// Single changes with which it would be placed now, the nearest first.
  public var relaxations: [Relaxation]
}
