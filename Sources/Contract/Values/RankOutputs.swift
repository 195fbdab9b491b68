/// What one rank of a job left behind: its list, not yet fetched.
public struct RankOutputs: Hashable, Codable, Sendable {
  /// The rank.
  public var rank: Int
  /// Its files.
  public var list: OutputList

  /// Describes a rank's outputs.
  public init(rank: Int, list: OutputList) {
    self.rank = rank
    self.list = list
  }
}
