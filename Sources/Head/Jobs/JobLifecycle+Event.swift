internal import IorunContract
internal import IorunCore

extension JobLifecycle {
  /// One rank's place, as placement gave it.
  struct Member: Sendable, Hashable {
    var rank: Int
    var node: PeerID
    var nodeName: String
    /// Where the gang's other ranks reach the node's ranks.
    var address: String
    var gpuIndices: [Int]
  }

  /// What can happen to a job.
  enum Event: Sendable {
    /// A gang is reserved for it, under a new epoch, with a network of its own or without; with places
    /// held for ranks whose node is lost, on what belongs to others of its cohort or not, and why there.
    case placed(
      [Member], epoch: Int64, network: OverlayAllotment? = nil, spares: [JobCourse.Seat] = [],
      isBorrowing: Bool = false, choice: PlacementChoice? = nil)
    /// A node could start a rank at once.
    case prepared(LeaseID, LeasePrepared)
    /// A node refused a grant for good.
    case prepareFailed(LeaseID, IorunError)
    /// Ranks that should have been prepared by now are not; how long was waited.
    case preparationPassed(attempt: Int, seconds: Double)
    /// A node refused to start a rank for good.
    case startFailed(LeaseID, IorunError)
    /// A node says where a lease stands.
    case report(LeaseReport)
    /// A node registered (again), with all the leases it holds.
    case nodeReturned(PeerID, [LeaseReport])
    /// A node counts as lost.
    case nodeLost(PeerID, reason: String)
    /// Someone asked for the job's end.
    case cancelRequested
    /// A more urgent job needs its places; the reason is for its owner.
    case preempted(reason: String)
    /// It was not placed by the time that its spec says.
    case startByPassed
    /// An attempt has run longer than the spec allows.
    case timeoutPassed(attempt: Int)
  }

  /// What to do about it. Everything that is to be kept comes before everything that is sent.
  enum Action: Sendable, Hashable {
    /// Keep the new state, with a line of history, before any later action.
    case persist(JobEvent.Kind, String)
    /// Keep what a rank left behind, together with the state.
    case keepOutputs(LeaseOutputs)
    /// Grant a lease to a node.
    case prepare(PeerID, LeaseGrant)
    /// Tell a node to start a rank.
    case start(PeerID, LeaseID, epoch: Int64, GangStart)
    /// Tell a node to stop a rank.
    case stop(PeerID, LeaseID, ExitCause)
    /// Tell a node that a lease's end is on record.
    case forget(PeerID, LeaseID)

    /// True for what is to be on disk before anything is sent.
    var isKept: Bool {
      switch self {
      case .persist, .keepOutputs: true
      case .prepare, .start, .stop, .forget: false
      }
    }
  }
}
