public import IorunCore

/// What a task or an actor asks of the node that is to run it. The same form stands in the JSON of the
/// local protocol and travels between head and agents.
public struct RuntimeDemand: Hashable, Codable, Sendable {
  /// Where among the nodes that fit.
  public enum Strategy: Hashable, Sendable {
    /// The asking node while it has room and is less than half used, else the best elsewhere.
    case standard
    /// Another node each time, as far as they fit.
    case spread
    /// One node; where `soft`, any other if that one cannot. `failsWhenBusy`: an error where it has no
    /// room now.
    case node(NodeID, soft: Bool, failsWhenBusy: Bool = false)
  }

  /// A place in a placement group.
  public struct Bundle: Hashable, Codable, Sendable {
    /// The group.
    public var group: GroupID
    /// Which bundle, from 0; -1 for any with room.
    public var index: Int

    /// Names a bundle.
    public init(group: GroupID, index: Int) {
      self.group = group
      self.index = index
    }
  }

  /// What it holds while it runs.
  public var resources: ResourceAmounts
  /// What must be free for it to be placed, where that is more than it holds (actors); else `nil`.
  public var placement: ResourceAmounts?
  /// The hash of its runtime environment; empty for the plain one.
  public var environment: String
  /// The environment itself, as the text of a JSON document; empty for none.
  public var runtimeEnv: String
  /// Where among the nodes that fit.
  public var strategy: Strategy
  /// Label selectors, as Ray writes them: `v`, `!v`, `in(a,b)`, `!in(a,b)`.
  public var labels: [String: String]
  /// Selectors to try in order where `labels` fit nowhere.
  public var fallback: [[String: String]]
  /// The placement group's bundle to run in.
  public var bundle: Bundle?
  /// With the standard strategy: the node to prefer to the asking one, because it has the data.
  public var near: NodeID?
  /// What runs there is done again where its process is lost: it ends first where memory runs out.
  public var isRetriable: Bool

  /// Describes a demand.
  public init(
    resources: ResourceAmounts, placement: ResourceAmounts? = nil, environment: String = "",
    runtimeEnv: String = "", strategy: Strategy = .standard, labels: [String: String] = [:],
    fallback: [[String: String]] = [], bundle: Bundle? = nil, near: NodeID? = nil,
    isRetriable: Bool = true
  ) {
    self.resources = resources
    self.placement = placement
    self.environment = environment
    self.runtimeEnv = runtimeEnv
    self.strategy = strategy
    self.labels = labels
    self.fallback = fallback
    self.bundle = bundle
    self.near = near
    self.isRetriable = isRetriable
  }

  private enum Keys: String, CodingKey {
    case resources, placement, environment, runtimeEnv, strategy, labels, fallback, bundle, near
    case isRetriable = "retriable"
  }

  /// Reads a demand; every key may be missing.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Keys.self)
    self.init(
      resources: try values.decodeIfPresent(ResourceAmounts.self, forKey: .resources)
        ?? ResourceAmounts(),
      placement: try values.decodeIfPresent(ResourceAmounts.self, forKey: .placement),
      environment: try values.decodeIfPresent(String.self, forKey: .environment) ?? "",
      runtimeEnv: try values.decodeIfPresent(String.self, forKey: .runtimeEnv) ?? "",
      strategy: try values.decodeIfPresent(Strategy.self, forKey: .strategy) ?? .standard,
      labels: try values.decodeIfPresent([String: String].self, forKey: .labels) ?? [:],
      fallback: try values.decodeIfPresent([[String: String]].self, forKey: .fallback) ?? [],
      bundle: try values.decodeIfPresent(Bundle.self, forKey: .bundle),
      near: try values.decodeIfPresent(NodeID.self, forKey: .near),
      isRetriable: try values.decodeIfPresent(Bool.self, forKey: .isRetriable) ?? true)
  }

  /// Writes the same. What is retriable, as nearly everything is, is not said.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Keys.self)
    try values.encode(resources, forKey: .resources)
    try values.encodeIfPresent(placement, forKey: .placement)
    try values.encode(environment, forKey: .environment)
    try values.encode(runtimeEnv, forKey: .runtimeEnv)
    try values.encode(strategy, forKey: .strategy)
    try values.encode(labels, forKey: .labels)
    try values.encode(fallback, forKey: .fallback)
    try values.encodeIfPresent(bundle, forKey: .bundle)
    try values.encodeIfPresent(near, forKey: .near)
    if !isRetriable { try values.encode(false, forKey: .isRetriable) }
  }
}

extension RuntimeDemand.Strategy: Codable {
  private enum Keys: String, CodingKey { case node, soft, failsWhenBusy }

  /// Reads `"DEFAULT"`, `"SPREAD"` or `{"node":…,"soft":…,"failsWhenBusy":…}`.
  public init(from decoder: any Decoder) throws {
    if let text = try? decoder.singleValueContainer().decode(String.self) {
      switch text {
      case "", "DEFAULT": self = .standard
      case "SPREAD": self = .spread
      default:
        throw IorunError(
          .specInvalid, "'\(text.prefix(64))' is no scheduling strategy",
          remedy: "Use DEFAULT, SPREAD, or a node")
      }
      return
    }
    let values = try decoder.container(keyedBy: Keys.self)
    self = .node(
      try values.decode(NodeID.self, forKey: .node),
      soft: try values.decodeIfPresent(Bool.self, forKey: .soft) ?? false,
      failsWhenBusy: try values.decodeIfPresent(Bool.self, forKey: .failsWhenBusy) ?? false)
  }

  /// Writes the same.
  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .standard, .spread:
      var container = encoder.singleValueContainer()
      try container.encode(self == .spread ? "SPREAD" : "DEFAULT")
    case .node(let node, let soft, let failsWhenBusy):
      var values = encoder.container(keyedBy: Keys.self)
      try values.encode(node, forKey: .node)
      try values.encode(soft, forKey: .soft)
      if failsWhenBusy { try values.encode(true, forKey: .failsWhenBusy) }
    }
  }
}

/// The devices that a worker may use, by the node's indexes of their kind.
public struct RuntimeDevices: Hashable, Sendable {
  /// By the name of their resource; nothing without devices.
  public private(set) var indexes: [String: [Int]]

  /// Describes devices.
  public init(_ indexes: [String: [Int]] = [:]) {
    self.indexes = indexes.filter { !$0.value.isEmpty }
  }

  /// Those of one kind.
  public subscript(kind: String) -> [Int] {
    get { indexes[kind] ?? [] }
    set { indexes[kind] = newValue.isEmpty ? nil : newValue }
  }

  /// Its GPUs.
  public var gpus: [Int] { self[ResourceAmounts.gpu] }

  /// True where there are none.
  public var isEmpty: Bool { indexes.isEmpty }

  /// All but GPUs.
  public var others: [String: [Int]] { indexes.filter { $0.key != ResourceAmounts.gpu } }
}

/// A worker that a process may run tasks on, until it gives it back.
public struct RuntimeLease: Hashable, Codable, Sendable {
  /// Unique on its node.
  public var lease: UInt64
  /// The worker.
  public var worker: WorkerID
  /// The node.
  public var node: NodeID
  /// Its GPUs, by the node's index.
  public var gpus: [Int]
  /// Its other accelerators, by their resource and the node's index; `nil` for none.
  public var accelerators: [String: [Int]]?
  /// The bundle that it stands in, where one was asked for.
  public var bundle: Int?

  /// Describes a lease.
  public init(
    lease: UInt64, worker: WorkerID, node: NodeID, gpus: [Int],
    accelerators: [String: [Int]]? = nil, bundle: Int?
  ) {
    self.accelerators = accelerators
    self.lease = lease
    self.worker = worker
    self.node = node
    self.gpus = gpus
    self.bundle = bundle
  }
}

/// Where a process of a runtime job is.
public struct ProcessAddress: Hashable, Codable, Sendable {
  /// Its node.
  public var node: NodeID
  /// Its id.
  public var worker: WorkerID

  /// Names a process.
  public init(node: NodeID, worker: WorkerID) {
    self.node = node
    self.worker = worker
  }
}
