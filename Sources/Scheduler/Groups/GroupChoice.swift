/// Sites that together hold a group, and how far the choice can be from the best one.
public struct GroupChoice: Sendable, Hashable {
  /// A site and how many devices the group takes there.
  public struct Share: Sendable, Hashable {
    /// The site, by its row in the matrix.
    public var site: Int
    /// Devices.
    public var devices: Int
  }

  /// The sites, in their order.
  public var shares: [Share]
  /// The longest round trip between two of them; 0 for a single site.
  public var maxRTTMilliseconds: Float
  /// No group of the wanted size has a shorter longest round trip than this. Proved, not estimated.
  public var lowerBoundMilliseconds: Float

  /// How much longer than the best possible the longest round trip can be at most: 0 where the
  /// choice is proved to be the best, 0.1 for at most a tenth.
  public var optimalityGap: Float {
    guard maxRTTMilliseconds > lowerBoundMilliseconds else { return 0 }
    guard lowerBoundMilliseconds > 0 else { return .infinity }
    return maxRTTMilliseconds / lowerBoundMilliseconds - 1
  }
}
