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
  /// Gives it a process of its own even where it asks for nothing.
  public var isolated: Bool

  /// Describes an actor.
  public init(
    name: String? = nil, detached: Bool = false, getIfExists: Bool = false, maxRestarts: Int = 0,
    maxConcurrency: Int = 1, cpus: Double = 0, gpus: Double = 0, memory: Double = 0,
    resources: [String: Double] = [:], placement: Placement = .standard,
    labels: [String: String] = [:], isolated: Bool = false
  ) {
    self.name = name
    self.detached = detached
    self.getIfExists = getIfExists
    self.maxRestarts = maxRestarts
    self.maxConcurrency = maxConcurrency
    self.cpus = cpus
    self.gpus = gpus
    self.memory = memory
    self.resources = resources
    self.placement = placement
    self.labels = labels
    self.isolated = isolated
  }

  /// Known to the head, rather than to its creator alone.
  var isListed: Bool { name != nil || detached || maxRestarts != 0 }

  func demand() throws -> RuntimeDemand {
    try .make(cpus, gpus, memory, resources, placement, labels)
  }
}
