public import IorunCore

/// Where a job would run, or why it would not.
public struct PlacementPlan: Hashable, Codable, Sendable {
  /// One rank's place.
  public struct Place: Hashable, Codable, Sendable {
    /// The rank.
    public var rank: Int
    /// The node.
    public var node: PeerID
    /// That node's name for people.
    public var nodeName: String
    /// The GPUs it would get, by index in `NodeFacts.gpus`.
    public var gpuIndices: [Int]

    /// Describes a place.
    public init(rank: Int, node: PeerID, nodeName: String, gpuIndices: [Int]) {
      self.rank = rank
      self.node = node
      self.nodeName = nodeName
      self.gpuIndices = gpuIndices
    }
  }

  /// All ranks' places, or empty.
  public var places: [Place]
  /// Why there is none, for a person; `nil` where there is one.
  public var refusal: String?
  /// True where the job could be placed once running jobs end.
  public var fitsWhenIdle: Bool
  /// The sites that it would be in, ascending; `nil` from earlier heads.
  public var sites: [Int]?
  /// The longest round trip between two of its nodes, in milliseconds; `nil` where it is not known.
  public var longestRoundTripMilliseconds: Double?
  /// How its ranks would lie; `nil` where there is no place, and from earlier heads.
  public var strategy: GangStrategy?
  /// Why it would run there; `nil` where there is no place, and from earlier heads.
  public var choice: PlacementChoice?
  /// Other ways to run it, by price; empty where there is no place, `nil` from earlier heads and where
  /// nobody asked.
  public var offers: [PlacementOffer]?
  /// What became of all GPUs or nodes where there is no place; `nil` from earlier heads.
  public var funnel: PlacementFunnel?

  /// Describes a plan.
  public init(
    places: [Place], refusal: String?, fitsWhenIdle: Bool, sites: [Int]? = nil,
    longestRoundTripMilliseconds: Double? = nil, strategy: GangStrategy? = nil,
    choice: PlacementChoice? = nil, offers: [PlacementOffer]? = nil,
    funnel: PlacementFunnel? = nil
  ) {
    self.choice = choice
    self.offers = offers
    self.funnel = funnel
    self.strategy = strategy
    self.sites = sites
    self.longestRoundTripMilliseconds = longestRoundTripMilliseconds
    self.places = places
    self.refusal = refusal
    self.fitsWhenIdle = fitsWhenIdle
  }
}
