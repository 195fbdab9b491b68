internal import IorunCore
internal import IorunWire

/// What an actor asks for, and how it lives.
///
/// An actor without name, resources and restarts shares a process with others: thousands fit into one.
public struct ActorOptions: Sendable, Hashable {
  /// A name under which every process of the namespace finds it.
  public var name: String?
  /// Lives on when the job's driver goes.
  public var detached: Bool
  /// Where the name is taken, gives the actor that has it.
  public var getIfExists: Bool
  /// How many times it is started anew when its process is lost; -1 for without end.
  public var maxRestarts: Int
  /// How often a call is made again that was lost with the actor's process, once the actor has begun
  /// anew; -1 for without end. The call may then run more than once.
  public var maxTaskRetries: Int
  /// How many calls run at the same time.
  public var maxConcurrency: Int
  /// Processor cores that it holds while it lives.
  public var cpus: Double
  /// Accelerators that it holds while it lives.
  public var gpus: Double
  /// Main memory in bytes that it holds.
  public var memory: Double
  /// Other resources that it holds, by name.
  public var resources: [String: Double]
  /// Where it may run.
  public var placement: Placement
  /// Selects nodes by their labels.
  public var labels: [String: String]
  /// Selectors to try in turn where no node matches `labels`.
  public var labelFallbacks: [[String: String]]
  /// What it finds around it; where nothing is said, the same as whoever submits it.
  public var environment: RuntimeEnvironment?
  /// Gives it a process of its own even where it asks for nothing.
  public var isolated: Bool

  /// Describes an actor.
  public init(
    name: String? = nil, detached: Bool = false, getIfExists: Bool = false, maxRestarts: Int = 0,
    maxTaskRetries: Int = 0, maxConcurrency: Int = 1, cpus: Double = 0, gpus: Double = 0,
    memory: Double = 0,
    resources: [String: Double] = [:], placement: Placement = .standard,
    labels: [String: String] = [:], labelFallbacks: [[String: String]] = [],
    environment: RuntimeEnvironment? = nil, isolated: Bool = false
  ) {
    self.name = name
    self.detached = detached
    self.getIfExists = getIfExists
    self.maxRestarts = maxRestarts
    self.maxTaskRetries = maxTaskRetries
    self.maxConcurrency = maxConcurrency
    self.cpus = cpus
    self.gpus = gpus
    self.memory = memory
    self.resources = resources
    self.placement = placement
    self.labels = labels
    self.labelFallbacks = labelFallbacks
    self.environment = environment
    self.isolated = isolated
  }

  /// Known to the head, rather than to its creator alone.
  var isListed: Bool { name != nil || detached || maxRestarts != 0 }

  func demand(on node: NodeID) throws -> RuntimeDemand {
    try .make(
      cpus, gpus, memory, resources, placement, labels, labelFallbacks, environment, on: node)
  }
}
