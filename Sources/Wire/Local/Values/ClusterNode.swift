public import IorunCore

/// What an agent tells the head of its runtime jobs, whole, after each registration: a restarted head
/// learns from it what lives.
public struct ClusterRegistration: Hashable, Codable, Sendable {
  /// Everything that the node offers to runtime jobs.
  public var total: ResourceAmounts
  /// What of it is free.
  public var available: ResourceAmounts
  /// The node's labels, the automatic ones among them.
  public var labels: [String: String]
  /// Runtime jobs whose driver is on this node.
  public var drivers: [RuntimeJob]
  /// Other runtime jobs that the node knows.
  public var jobs: [RuntimeJob]
  /// Actors whose process is on this node.
  public var actors: [RuntimeActorRecord]
  /// Bundles that the node holds.
  public var bundles: [BundleReservation]

  /// Describes a registration.
  public init(
    total: ResourceAmounts, available: ResourceAmounts, labels: [String: String],
    drivers: [RuntimeJob], jobs: [RuntimeJob] = [], actors: [RuntimeActorRecord],
    bundles: [BundleReservation]
  ) {
    self.total = total
    self.available = available
    self.labels = labels
    self.drivers = drivers
    self.jobs = jobs
    self.actors = actors
    self.bundles = bundles
  }
}

/// A runtime job: a driver, its workers, actors and objects.
public struct RuntimeJob: Hashable, Codable, Sendable {
  /// How a node starts this job's workers.
  public struct Launcher: Hashable, Codable, Sendable {
    /// `zygote` forks workers; `program` is started once a worker.
    public enum Kind: String, Codable, Sendable, Hashable { case zygote, program }
    /// The program and its arguments.
    public var argv: [String]
    /// Variables on top of the node's own.
    public var environment: [String: String]
    /// The folder to start in, where the node has it.
    public var cwd: String
    /// What it is.
    public var kind: Kind

    /// Describes a launcher.
    public init(argv: [String], environment: [String: String], cwd: String, kind: Kind) {
      self.argv = argv
      self.environment = environment
      self.cwd = cwd
      self.kind = kind
    }
  }

  /// The job.
  public var job: JobID
  /// A name for people.
  public var name: String
  /// The namespace of its actors' names.
  public var namespace: String
  /// Its driver.
  public var driver: ProcessAddress
  /// How its workers are started.
  public var launcher: Launcher
  /// Seconds since 1970 (UTC) when it began.
  public var startedAt: Double
  /// True where the driver is a rank in a sandbox: it is a stranger on its own node, too, and on every
  /// other one, whosever that is.
  public var isSealed: Bool?

  /// Describes a runtime job.
  public init(
    job: JobID, name: String, namespace: String, driver: ProcessAddress, launcher: Launcher,
    startedAt: Double, isSealed: Bool? = nil
  ) {
    self.isSealed = isSealed
    self.job = job
    self.name = name
    self.namespace = namespace
    self.driver = driver
    self.launcher = launcher
    self.startedAt = startedAt
  }
}

/// A node as runtime jobs see it: an item of the local protocol's `nodes`.
public struct ClusterNode: Hashable, Codable, Sendable {
  /// The node.
  public var node: NodeID
  /// Its name for people.
  public var name: String
  /// Its address for other nodes.
  public var address: String
  /// The host's name.
  public var hostname: String
  /// True where it can be given work.
  public var alive: Bool
  /// Its state in words: alive, suspect, unreachable, dead, left.
  public var state: String
  /// Why it is not alive.
  public var reason: String?
  /// Everything that it offers.
  public var resources: ResourceAmounts
  /// What of it is free.
  public var available: ResourceAmounts
  /// Its labels.
  public var labels: [String: String]

  /// Describes a node.
  public init(
    node: NodeID, name: String, address: String, hostname: String, alive: Bool, state: String,
    reason: String?, resources: ResourceAmounts, available: ResourceAmounts,
    labels: [String: String]
  ) {
    self.node = node
    self.name = name
    self.address = address
    self.hostname = hostname
    self.alive = alive
    self.state = state
    self.reason = reason
    self.resources = resources
    self.available = available
    self.labels = labels
  }
}
