public import IorunCore

/// Why a job is where it is, or why it waits.
public struct JobExplanation: Hashable, Codable, Sendable {
  /// The job as it is.
  public var job: JobStatus
  /// For a job that waits: where it would run now, or why it would not. Else `nil`.
  public var plan: PlacementPlan?
  /// The sites that its ranks are in, ascending; empty where none has a rank or none is known.
  public var sites: [Int]
  /// The longest round trip between two of its nodes, in milliseconds; `nil` where it is not known.
  public var longestRoundTripMilliseconds: Double?
  /// What else there is to know of its nodes and places, a sentence each; `nil` from earlier heads.
  public var notes: [String]?
  /// Why its ranks were placed where they are; `nil` for a job that was not placed yet, and from earlier
  /// heads.
  public var choice: PlacementChoice?

  /// Describes an explanation.
  public init(
    job: JobStatus, plan: PlacementPlan?, sites: [Int], longestRoundTripMilliseconds: Double?,
    notes: [String]? = nil, choice: PlacementChoice? = nil
  ) {
    self.choice = choice
    self.notes = notes
    self.job = job
    self.plan = plan
    self.sites = sites
    self.longestRoundTripMilliseconds = longestRoundTripMilliseconds
  }
}

/// One of several ways to run a job, none of which is worse than another in every respect.
public struct PlacementOffer: Hashable, Codable, Sendable {
  /// The nodes and how many ranks each would get.
  public struct Share: Hashable, Codable, Sendable {
    /// The node.
    public var node: PeerID
    /// Its name.
    public var nodeName: String
    /// How many ranks.
    public var ranks: Int

    /// Describes a share.
    public init(node: PeerID, nodeName: String, ranks: Int) {
      self.node = node
      self.nodeName = nodeName
      self.ranks = ranks
    }
  }

  /// By name of the node.
  public var shares: [Share]
  /// The longest round trip between two of the nodes, in milliseconds; `nil` where it is not known.
  public var longestRoundTripMilliseconds: Double?
  /// No offer for this job has a shorter one: proved.
  public var leastRoundTripMilliseconds: Double
  /// Millionths of a dollar for an hour of the whole job, by what the nodes ask; 0 where they ask nothing.
  public var microdollarsPerHour: Int
  /// The part of the last hours that its nodes served, multiplied; 1 where nothing is known.
  public var reliability: Double
  /// What speaks for it.
  public var words: String
  /// Why these nodes, a sentence each.
  public var reasons: [String]

  /// Describes an offer.
  public init(
    shares: [Share], longestRoundTripMilliseconds: Double?, leastRoundTripMilliseconds: Double,
    microdollarsPerHour: Int, reliability: Double, words: String, reasons: [String]
  ) {
    self.shares = shares
    self.longestRoundTripMilliseconds = longestRoundTripMilliseconds
    self.leastRoundTripMilliseconds = leastRoundTripMilliseconds
    self.microdollarsPerHour = microdollarsPerHour
    self.reliability = reliability
    self.words = words
    self.reasons = reasons
  }
}
