/// What a buyer asks for: a gang of ranks, what they run, and what they leave behind. The YAML form
/// and its checks live in `IorunClient`; this is the form that travels and is stored.
public struct JobSpec: Hashable, Codable, Sendable {
  /// What every rank runs.
  public enum Entrypoint: Hashable, Codable, Sendable {
    /// A program and its arguments, started in the rank's working folder. A single string in a spec
    /// becomes `["/bin/sh", "-c", string]`.
    case command([String])
    /// An executable product of a Swift package, uploaded as a binary.
    case swift(target: String, arguments: [String])
  }

  /// A gang: ranks that start together or not at all.
  public struct Gang: Hashable, Codable, Sendable {
    /// How many ranks; at least one.
    public var ranks: Int
    /// What each rank takes on its node.
    public var resources: ResourceSet
    /// A part of the GPU model's name that each GPU must have, compared without case.
    public var gpuModel: String?
    /// How the ranks lie to each other; `nil` to spread them.
    public var placement: GangStrategy?
    /// What else it asks of its nodes; `nil` for nothing.
    public var terms: PlacementTerms?

    /// Describes a gang.
    public init(
      ranks: Int, resources: ResourceSet, gpuModel: String? = nil, placement: GangStrategy? = nil,
      terms: PlacementTerms? = nil
    ) {
      self.placement = placement
      self.terms = terms
      self.ranks = ranks
      self.resources = resources
      self.gpuModel = gpuModel
    }
  }

  /// Which network the ranks of a gang see.
  public enum Network: String, Hashable, Codable, Sendable, CaseIterable {
    /// One of the gang's own: an encrypted tunnel among its nodes and nothing else.
    case gang
    /// Each node's own network, as any other program of the node.
    case host
    /// As `gang`, and a way to the public internet beside it: nothing private, no mail.
    case internet
    /// Nothing but `lo`: for a single rank.
    case nothing = "none"
  }

  /// Whether a node must have proved what it is.
  public enum Verification: String, Hashable, Codable, Sendable, CaseIterable {
    /// It must, where the network asks for proofs.
    case required
    /// Any node will do.
    case any
  }

  /// Whether a job must be kept apart from the machines that it runs on.
  public enum Isolation: String, Hashable, Codable, Sendable, CaseIterable {
    /// In a sandbox on every node, its owner's own among them.
    case required
    /// In a sandbox wherever the node has one, and on nodes of others that ask for one.
    case any
  }

  /// A name for people; need not be unique.
  public var name: String
  /// What every rank runs.
  public var entrypoint: Entrypoint
  /// The gang.
  public var gang: Gang
  /// Extra environment of every rank.
  public var environment: [String: String]
  /// Paths below the working folder, `*` allowed, that are kept when a rank ends well.
  public var outputs: [String]
  /// Seconds after which a running attempt is stopped; `nil` for no limit.
  public var timeoutSeconds: Double?
  /// How many times a failed attempt is started again.
  public var retries: Int
  /// Seconds without word from the head after which a node stops this job's ranks, so that a retry can
  /// start elsewhere soon; `nil` for the network's own time.
  public var fenceSeconds: Double?
  /// Which network the ranks see; `nil` to leave it to the head: `gang` where the ranks are on
  /// several nodes and all of these can, else `host`.
  public var network: Network?
  /// Who is placed first, from 0 to 10; `nil` for the usual 5.
  public var priority: Int?
  /// Seconds after it was accepted by which it must have been placed, else it fails; `nil` for any time.
  public var startBySeconds: Double?
  /// True where it may be stopped for a more urgent job once it has run for an hour, and queued anew.
  public var isPreemptible: Bool?
  /// Whether nodes must have proved what they are; `nil` for `required`.
  public var verification: Verification?
  /// The image whose files the ranks see as their root, as `ImageReference` writes it; `nil` for the
  /// programs of their nodes.
  public var image: String?

  /// Whether it must run in a sandbox; `nil` for `any`.
  public var isolation: Isolation?

  /// Describes a job.
  public init(
    name: String, entrypoint: Entrypoint, gang: Gang, environment: [String: String] = [:],
    outputs: [String] = [], timeoutSeconds: Double? = nil, retries: Int = 0,
    fenceSeconds: Double? = nil, network: Network? = nil, priority: Int? = nil,
    startBySeconds: Double? = nil, isPreemptible: Bool? = nil, verification: Verification? = nil,
    image: String? = nil, isolation: Isolation? = nil
  ) {
    self.isolation = isolation
    self.image = image
    self.verification = verification
    self.name = name
    self.entrypoint = entrypoint
    self.gang = gang
    self.environment = environment
    self.outputs = outputs
    self.timeoutSeconds = timeoutSeconds
    self.retries = retries
    self.fenceSeconds = fenceSeconds
    self.network = network
    self.priority = priority
    self.startBySeconds = startBySeconds
    self.isPreemptible = isPreemptible
  }
}
