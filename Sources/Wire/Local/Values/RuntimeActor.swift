public import Foundation
public import IorunCore

/// An actor of a runtime job as its creator asks for it. Kept by the head while the actor lives, and by
/// the node that runs it, from which a restarted head learns it again.
public struct RuntimeActorSpec: Hashable, Codable, Sendable {
  /// The actor, through all its incarnations; also the worker id of its first process.
  public var actor: RuntimeActorID
  /// The runtime job that it belongs to.
  public var job: JobID
  /// Its name within the namespace; empty for none.
  public var name: String
  /// The namespace of its name.
  public var namespace: String
  /// Its class, for people.
  public var className: String
  /// Lives on when its job's driver goes.
  public var detached: Bool
  /// What it asks of its node.
  public var demand: RuntimeDemand
  /// How many times it is started anew; -1 for without end.
  public var maxRestarts: Int
  /// The process that made it.
  public var creator: ProcessAddress
  /// What the SDK keeps about its methods; opaque.
  public var methods: String
  /// The creation payload: class and arguments; opaque.
  public var payload: Data

  /// Describes an actor.
  public init(
    actor: RuntimeActorID, job: JobID, name: String, namespace: String, className: String,
    detached: Bool, demand: RuntimeDemand, maxRestarts: Int, creator: ProcessAddress,
    methods: String, payload: Data
  ) {
    self.actor = actor
    self.job = job
    self.name = name
    self.namespace = namespace
    self.className = className
    self.detached = detached
    self.demand = demand
    self.maxRestarts = maxRestarts
    self.creator = creator
    self.methods = methods
    self.payload = payload
  }
}

/// Where an actor stands: the JSON of the local protocol's actor status.
public struct RuntimeActorStatus: Hashable, Codable, Sendable {
  /// The states of an actor's life.
  public enum State: String, Codable, Sendable, Hashable {
    /// Waits for a node with room.
    case pending = "PENDING"
    /// Its node is chosen; its process is being started. Calls may be sent there already.
    case placed = "PLACED"
    /// Constructed.
    case alive = "ALIVE"
    /// Its process is gone and another one is to come.
    case restarting = "RESTARTING"
    /// Gone for good.
    case dead = "DEAD"
  }

  /// The actor.
  public var actor: RuntimeActorID
  /// Where it stands.
  public var state: State
  /// Its node, from PLACED on.
  public var node: NodeID?
  /// Its process, from PLACED on; another one each incarnation.
  public var worker: WorkerID?
  /// Counts its processes, from 1.
  public var incarnation: Int
  /// How many times it was started anew.
  public var restarts: Int
  /// Why it is dead, restarting, or cannot be placed.
  public var cause: ProcessLoss?
  /// Its name; empty for none.
  public var name: String
  /// The namespace of its name.
  public var namespace: String
  /// Its class, for people.
  public var className: String
  /// What the SDK keeps about its methods; opaque.
  public var methods: String
  /// Its runtime job.
  public var job: JobID

  /// A new actor's status.
  public init(_ spec: RuntimeActorSpec, state: State = .pending) {
    actor = spec.actor
    self.state = state
    incarnation = 0
    restarts = 0
    name = spec.name
    namespace = spec.namespace
    className = spec.className
    methods = spec.methods
    job = spec.job
  }

  /// True where this was true later than `other`, whichever of the two came first: death is final,
  /// a later incarnation is newer, and one incarnation goes through its states in order.
  public func isNewer(than other: RuntimeActorStatus) -> Bool {
    if other.state == .dead { return false }
    if state == .dead { return true }
    return (incarnation, state.order) > (other.incarnation, other.state.order)
  }
}

extension RuntimeActorStatus.State {
  /// The place among the states that one incarnation goes through.
  fileprivate var order: Int {
    switch self {
    case .pending: 0
    case .placed: 1
    case .alive: 2
    case .restarting: 3
    case .dead: 4
    }
  }
}

/// An actor: what was asked for and where it stands.
public struct RuntimeActorRecord: Hashable, Codable, Sendable {
  /// What was asked for.
  public var spec: RuntimeActorSpec
  /// Where it stands.
  public var status: RuntimeActorStatus

  /// Describes an actor.
  public init(spec: RuntimeActorSpec, status: RuntimeActorStatus) {
    self.spec = spec
    self.status = status
  }
}

/// The name of an actor: an item of the local protocol's `actorNames`.
public struct RuntimeActorName: Hashable, Codable, Sendable {
  /// The name.
  public var name: String
  /// Its namespace.
  public var namespace: String

  /// Names an actor.
  public init(name: String, namespace: String) {
    self.name = name
    self.namespace = namespace
  }
}

/// Why a process or an actor is gone: the `cause` of the local protocol.
public struct ProcessLoss: Hashable, Codable, Sendable {
  /// What is known of a process's end.
  public struct Detail: Hashable, Codable, Sendable {
    /// Its exit status, where it exited.
    public var exitStatus: Int?
    /// The signal that ended it.
    public var signal: Int?
    /// The signal's name, such as `SIGKILL`.
    public var signalName: String?
    /// The most memory that it had, in bytes.
    public var maxResidentBytes: Int64?
    /// True where the kernel or the agent ended it for want of memory.
    public var outOfMemory: Bool?
    /// What it printed last.
    public var lastLines: [String]?
    /// True where it was meant to end: killed by its owner, left by itself, its job over.
    public var intended: Bool?
    /// Where it ran.
    public var node: NodeID?
    /// Its process id there.
    public var pid: Int?

    /// Nothing is known yet.
    public init() {}
  }

  /// `IOR-1504`, or what kept it from being started.
  public var code: String
  /// What happened, for a person.
  public var message: String
  /// What to do.
  public var remedy: String?
  /// What is known.
  public var detail: Detail
  /// What an actor's constructor has thrown, as the job's SDK writes it; at most `errorLimit` bytes.
  public var error: Data?

  /// A larger error is told by its message alone.
  public static let errorLimit = 64 * 1024

  /// Describes a loss.
  public init(
    _ code: IorunError.Code = .processLost, _ message: String, remedy: String? = nil,
    detail: Detail = Detail()
  ) {
    self.code = code.description
    self.message = message
    self.remedy = remedy
    self.detail = detail
    error = nil
  }
}
