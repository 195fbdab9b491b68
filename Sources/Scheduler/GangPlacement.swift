public import IorunCore

/// Where every rank of a gang runs.
public struct GangPlacement: Sendable, Hashable {
  /// One rank's place.
  public struct Member: Sendable, Hashable {
    /// The rank, from 0.
    public var rank: Int
    /// The node that runs it.
    public var node: PeerID
    /// The GPUs it alone gets, by index in `NodeOffer.gpus`, ascending.
    public var gpuIndices: [Int]

    /// Describes one rank's place.
    public init(rank: Int, node: PeerID, gpuIndices: [Int]) {
      self.rank = rank
      self.node = node
      self.gpuIndices = gpuIndices
    }
  }

  /// All ranks by number. Ranks on one node are neighbours, as launchers like torchrun number them.
  public var members: [Member]
  /// 0 where the ranks lie as was asked first, 1 for the first fallback.
  public var fallback: Int
  /// How many nodes met every requirement and had room for a rank; 0 where that was not counted.
  public var eligible: Int
  /// No nodes with room have a shorter longest round trip: proved, in milliseconds. `nil` where the
  /// strategy that fitted does not ask for it.
  public var lowerBoundMilliseconds: Float?

  /// Describes a placement.
  public init(
    members: [Member], fallback: Int = 0, eligible: Int = 0, lowerBoundMilliseconds: Float? = nil
  ) {
    self.eligible = eligible
    self.lowerBoundMilliseconds = lowerBoundMilliseconds
    self.members = members
    self.fallback = fallback
  }
}
