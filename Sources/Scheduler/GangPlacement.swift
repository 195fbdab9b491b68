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

  /// Describes a placement.
  public init(members: [Member], fallback: Int = 0) {
    self.members = members
    self.fallback = fallback
  }
}
