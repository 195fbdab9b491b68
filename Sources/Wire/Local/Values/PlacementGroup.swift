public import IorunCore

/// A gang of bundles that are reserved together or not at all.
public struct PlacementGroupSpec: Hashable, Codable, Sendable {
  /// How bundles lie to each other.
  public enum Strategy: String, Codable, Sendable, Hashable {
    /// On as few nodes as possible.
    case pack = "PACK"
    /// On as many nodes as possible.
    case spread = "SPREAD"
    /// All on one node.
    case strictPack = "STRICT_PACK"
    /// Each on a node of its own.
    case strictSpread = "STRICT_SPREAD"
    /// On nodes whose round trips to each other are at most `maxRoundTripMilliseconds`.
    case site = "SITE"
  }

  /// The group.
  public var group: GroupID
  /// Its runtime job.
  public var job: JobID
  /// Its name; empty for none.
  public var name: String
  /// The namespace in which it has that name; `nil` for its job's.
  public var namespace: String?
  /// What each bundle reserves.
  public var bundles: [ResourceAmounts]
  /// How they lie to each other.
  public var strategy: Strategy
  /// The bound of `site`.
  public var maxRoundTripMilliseconds: Double?
  /// A label selector a bundle; empty for none.
  public var labels: [[String: String]]
  /// Lives on when its job's driver goes.
  public var detached: Bool
  /// The process that made it; `nil` from an agent that does not say. What a detached actor made lives on
  /// with it.
  public var creator: ProcessAddress?

  /// Describes a group.
  public init(
    group: GroupID, job: JobID, name: String, namespace: String? = nil,
    bundles: [ResourceAmounts], strategy: Strategy, maxRoundTripMilliseconds: Double?,
    labels: [[String: String]], detached: Bool, creator: ProcessAddress? = nil
  ) {
    self.group = group
    self.job = job
    self.name = name
    self.namespace = namespace
    self.bundles = bundles
    self.strategy = strategy
    self.maxRoundTripMilliseconds = maxRoundTripMilliseconds
    self.labels = labels
    self.detached = detached
    self.creator = creator
  }
}

/// Where a placement group stands.
public struct PlacementGroupStatus: Hashable, Codable, Sendable {
  /// The states of a group's life.
  public enum State: String, Codable, Sendable, Hashable {
    /// Waits for room.
    case pending = "PENDING"
    /// Reserved on all its nodes.
    case created = "CREATED"
    /// No set of the nodes there are could hold it; tried again when nodes come.
    case infeasible = "INFEASIBLE"
    /// Lost a node; its bundles there wait for another.
    case rescheduling = "RESCHEDULING"
    /// Given back.
    case removed = "REMOVED"
  }

  /// One bundle and its place.
  public struct Bundle: Hashable, Codable, Sendable {
    /// What it reserves.
    public var resources: ResourceAmounts
    /// Where, once reserved.
    public var node: NodeID?

    /// Describes a bundle.
    public init(resources: ResourceAmounts, node: NodeID?) {
      self.resources = resources
      self.node = node
    }
  }

  /// The group.
  public var group: GroupID
  /// Its runtime job.
  public var job: JobID
  /// Its name; empty for none.
  public var name: String
  /// The namespace of its name; `nil` from a release whose names had none.
  public var namespace: String?
  /// How bundles lie to each other.
  public var strategy: PlacementGroupSpec.Strategy
  /// Where it stands.
  public var state: State
  /// Its bundles, in order.
  public var bundles: [Bundle]
  /// Lives on when its job's driver goes.
  public var detached: Bool
  /// Why it is not created, for a person.
  public var reason: String?

  /// Describes a group's standing.
  public init(
    _ spec: PlacementGroupSpec, state: State, nodes: [NodeID?], reason: String? = nil
  ) {
    group = spec.group
    job = spec.job
    name = spec.name
    namespace = spec.namespace
    strategy = spec.strategy
    self.state = state
    bundles = zip(spec.bundles, nodes).map { Bundle(resources: $0, node: $1) }
    detached = spec.detached
    self.reason = reason
  }
}

/// One bundle that a node reserves for a group, under the epoch of the reservation.
public struct BundleReservation: Hashable, Codable, Sendable {
  /// The group, whole: a restarted head learns it from its nodes.
  public var spec: PlacementGroupSpec
  /// The bundles that lie on this node.
  public var indices: [Int]
  /// Fences reservations of earlier attempts.
  public var epoch: Int64
  /// True where the first phase is the second as well: the whole group lies on one node.
  public var commits: Bool

  /// Describes a reservation.
  public init(spec: PlacementGroupSpec, indices: [Int], epoch: Int64, commits: Bool = false) {
    self.spec = spec
    self.indices = indices
    self.epoch = epoch
    self.commits = commits
  }
}

/// The name of a placement group within its namespace.
public struct PlacementGroupName: Hashable, Codable, Sendable {
  /// The name.
  public var name: String
  /// Its namespace.
  public var namespace: String

  /// Names a group.
  public init(name: String, namespace: String) {
    self.name = name
    self.namespace = namespace
  }
}
