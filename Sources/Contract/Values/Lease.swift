public import IorunContent
public import IorunCore

/// Names one rank's hold on one node: job, attempt and rank. Written `job-7k3f9q2m/1/0`.
public struct LeaseID: Hashable, Codable, Sendable, Comparable, CustomStringConvertible {
  /// The job.
  public var job: JobID
  /// The attempt, from 1.
  public var attempt: Int
  /// The rank, from 0.
  public var rank: Int

  /// Names a lease.
  public init(job: JobID, attempt: Int, rank: Int) {
    self.job = job
    self.attempt = attempt
    self.rank = rank
  }

  /// `job/attempt/rank`.
  public var description: String { "\(job)/\(attempt)/\(rank)" }

  /// Orders by job, attempt, rank.
  public static func < (left: LeaseID, right: LeaseID) -> Bool {
    (left.job, left.attempt, left.rank) < (right.job, right.attempt, right.rank)
  }
}

/// What the head grants to a node: one rank, under a fencing epoch.
public struct LeaseGrant: Hashable, Codable, Sendable {
  /// The lease.
  public var id: LeaseID
  /// Grows with every grant the head makes; a node refuses an epoch below the highest it has seen
  /// for the same job.
  public var epoch: Int64
  /// What to run.
  public var spec: JobSpec
  /// The encoded `Manifest` of the working folder, or `nil` for an empty one.
  public var workingFolder: Blob?
  /// The node's GPUs that the rank gets, by index in `NodeFacts.gpus`.
  public var gpuIndices: [Int]
  /// The rank's number among the gang's ranks on the same node, from 0.
  public var localRank: Int
  /// How many of the gang's ranks run on the same node.
  public var localWorldSize: Int
  /// The node's place in the network of the gang; `nil` where ranks use the node's own network.
  public var network: OverlaySeat?

  /// True where the job is not the node's owner's, nor the network's: it runs in a sandbox or not at all.
  public var isForeign: Bool?

  /// Describes a grant.
  public init(
    id: LeaseID, epoch: Int64, spec: JobSpec, workingFolder: Blob?, gpuIndices: [Int],
    localRank: Int, localWorldSize: Int, network: OverlaySeat? = nil,
    isForeign: Bool? = nil
  ) {
    self.isForeign = isForeign
    self.id = id
    self.epoch = epoch
    self.spec = spec
    self.workingFolder = workingFolder
    self.gpuIndices = gpuIndices
    self.localRank = localRank
    self.localWorldSize = localWorldSize
    self.network = network
  }
}

/// A node's answer to a grant: the rank could start at once.
public struct LeasePrepared: Hashable, Codable, Sendable {
  /// The mesh identity of the rank's process, made for this lease.
  public var executor: PeerID
  /// A TCP port that was free on the node's address: the gang's rendezvous port if this is rank 0.
  public var rendezvousPort: UInt16
  /// How other nodes of the gang reach this node's tunnel, which all its ranks of the gang share;
  /// `nil` where there is none.
  public var tunnel: TunnelMember?

  /// Describes a prepared lease.
  public init(executor: PeerID, rendezvousPort: UInt16, tunnel: TunnelMember? = nil) {
    self.executor = executor
    self.rendezvousPort = rendezvousPort
    self.tunnel = tunnel
  }
}

/// What every rank must know of the others to start.
public struct GangStart: Hashable, Codable, Sendable {
  /// Where rank 0 listens.
  public var masterAddress: String
  /// The port on which rank 0 listens; a new one each attempt.
  public var masterPort: UInt16
  /// The mesh identity of each rank's process, by rank.
  public var members: [PeerID]
  /// How many nodes the gang spans, and which of them this node is.
  public var nodeCount: Int
  /// This node's number among the gang's nodes, from 0 (torchrun's `GROUP_RANK`).
  public var nodeRank: Int
  /// The members of the gang's network; `nil` where ranks use their nodes' own networks.
  public var network: GangNetwork?

  /// Describes a start.
  public init(
    masterAddress: String, masterPort: UInt16, members: [PeerID], nodeCount: Int, nodeRank: Int,
    network: GangNetwork? = nil
  ) {
    self.masterAddress = masterAddress
    self.masterPort = masterPort
    self.members = members
    self.nodeCount = nodeCount
    self.nodeRank = nodeRank
    self.network = network
  }
}

/// What a node says of one of its leases.
public struct LeaseReport: Hashable, Codable, Sendable {
  /// Where the lease stands on the node.
  public enum State: Hashable, Codable, Sendable {
    /// Fetching its folder, or ready and waiting for the start.
    case prepared
    /// Its process runs.
    case running
    /// Its process ended. `outputs` is the list of what it left, already uploaded; `nil` where it
    /// left nothing.
    case ended(ExitCause, outputs: OutputList?, lastLines: [String])
  }

  /// The lease.
  public var id: LeaseID
  /// The epoch of its grant; the head ignores reports of any other.
  public var epoch: Int64
  /// The mesh identity of the rank's process.
  public var executor: PeerID
  /// Where it stands.
  public var state: State
  /// What it used, once it has ended; `nil` from a node without sandboxes, or an older one.
  public var usage: RankUsage?

  /// Describes a report.
  public init(
    id: LeaseID, epoch: Int64, executor: PeerID, state: State, usage: RankUsage? = nil
  ) {
    self.usage = usage
    self.id = id
    self.epoch = epoch
    self.executor = executor
    self.state = state
  }
}
