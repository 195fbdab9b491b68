public import IorunCore

/// Why a job's ranks lie where they do: what was decided, and how far from the best it can be.
public struct PlacementChoice: Hashable, Codable, Sendable {
  /// A place that is held beside the gang for a rank whose node is lost.
  public struct Spare: Hashable, Codable, Sendable {
    /// The node.
    public var node: PeerID
    /// Its name.
    public var nodeName: String

    /// Describes a spare.
    public init(node: PeerID, nodeName: String) {
      self.node = node
      self.nodeName = nodeName
    }
  }

  /// The strategy that fitted.
  public var strategy: GangStrategy
  /// 0 where that is what was asked first, 1 for the first fallback.
  public var fallback: Int
  /// The longest round trip between two of the nodes as it was known then, in milliseconds; `nil` where
  /// it was not.
  public var longestRoundTripMilliseconds: Double?
  /// No nodes that had room then had a shorter one: proved. `nil` where the strategy does not ask for it.
  public var leastRoundTripMilliseconds: Double?
  /// Places that are held beside the gang.
  public var spares: [Spare]
  /// Why these nodes, a sentence each.
  public var reasons: [String]

  /// Describes a choice.
  public init(
    strategy: GangStrategy, fallback: Int = 0, longestRoundTripMilliseconds: Double? = nil,
    leastRoundTripMilliseconds: Double? = nil, spares: [Spare] = [], reasons: [String] = []
  ) {
    self.strategy = strategy
    self.fallback = fallback
    self.longestRoundTripMilliseconds = longestRoundTripMilliseconds
    self.leastRoundTripMilliseconds = leastRoundTripMilliseconds
    self.spares = spares
    self.reasons = reasons
  }

  /// How much longer than the shortest possible the longest round trip can be at most, as a part: 0
  /// where it is proved to be the shortest, 0.1 for at most a tenth; `nil` where nothing is proved.
  public var optimalityGap: Double? {
    guard let longest = longestRoundTripMilliseconds, let least = leastRoundTripMilliseconds else {
      return nil
    }
    if longest <= least { return 0 }
    return least > 0 ? longest / least - 1 : nil
  }
}
