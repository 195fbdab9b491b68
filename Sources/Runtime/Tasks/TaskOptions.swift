public import IorunCore
internal import IorunWire

/// Where a task or an actor may run.
public enum Placement: Sendable, Hashable {
  /// This node while it has room and is less than half used, else the best elsewhere.
  case standard
  /// Another node each time, as far as they fit.
  case spread
  /// One node; where `soft`, any other if that one cannot.
  case node(NodeID, soft: Bool = false)
  /// A placement group's bundle; any of them with room where no index is given.
  case group(PlacementGroup, bundle: Int? = nil)
}

/// What a task asks for.
public struct TaskOptions: Sendable, Hashable {
  /// Processor cores.
  public var cpus: Double
  /// Accelerators.
  public var gpus: Double
  /// Main memory in bytes.
  public var memory: Double
  /// Other resources, by name.
  public var resources: [String: Double]
  /// How many times the task is run again when its worker is lost; -1 for without end.
  public var maxRetries: Int
  /// Runs the task again, too, when it throws.
  public var retriesErrors: Bool
  /// Where it may run.
  public var placement: Placement
  /// Selects nodes by their labels: `v`, `!v`, `in(a,b)`, `!in(a,b)`.
  public var labels: [String: String]
  /// Selectors to try in turn where no node matches `labels`.
  public var labelFallbacks: [[String: String]]
  /// What it finds around it; where nothing is said, the same as whoever submits it.
  public var environment: RuntimeEnvironment?

  /// Describes what a task asks for.
  public init(
    cpus: Double = 1, gpus: Double = 0, memory: Double = 0, resources: [String: Double] = [:],
    maxRetries: Int = 3, retriesErrors: Bool = false, placement: Placement = .standard,
    labels: [String: String] = [:], labelFallbacks: [[String: String]] = [],
    environment: RuntimeEnvironment? = nil
  ) {
    self.cpus = cpus
    self.gpus = gpus
    self.memory = memory
    self.resources = resources
    self.maxRetries = maxRetries
    self.retriesErrors = retriesErrors
    self.placement = placement
    self.labels = labels
    self.labelFallbacks = labelFallbacks
    self.environment = environment
  }

  func demand(on node: NodeID) throws -> RuntimeDemand {
    try .make(
      cpus, gpus, memory, resources, placement, labels, labelFallbacks, environment, on: node)
  }
}

extension RuntimeDemand {
  static func make(
    _ cpus: Double, _ gpus: Double, _ memory: Double, _ resources: [String: Double],
    _ placement: Placement, _ labels: [String: String], _ fallback: [[String: String]],
    _ environment: RuntimeEnvironment?, on node: NodeID
  ) throws -> RuntimeDemand {
    var amounts = resources
    if cpus != 0 { amounts[ResourceAmounts.cpu] = cpus }
    if gpus != 0 { amounts[ResourceAmounts.gpu] = gpus }
    if memory != 0 { amounts[ResourceAmounts.memory] = memory }
    let (hash, text) = try environment?.encoded(on: node) ?? RuntimeEnvironment.own
    var demand = RuntimeDemand(
      resources: try ResourceAmounts(amounts: amounts), environment: hash, runtimeEnv: text,
      labels: labels, fallback: fallback)
    switch placement {
    case .standard: break
    case .spread: demand.strategy = .spread
    case .node(let node, let soft): demand.strategy = .node(node, soft: soft)
    case .group(let group, let bundle):
      demand.bundle = Bundle(group: group.id, index: bundle ?? -1)
    }
    return demand
  }
}
