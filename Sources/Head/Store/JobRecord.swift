internal import IorunContent
internal import IorunContract
internal import IorunCore

/// One job as the head keeps it: a row of `jobs`, and the state of its `JobLifecycle`.
struct JobRecord: Sendable, Hashable {
  let id: JobID
  let submissionID: String
  let owner: PeerID
  let spec: JobSpec
  let workingFolder: Blob?
  let submittedAt: Double
  var state = JobState.queued
  /// The latest attempt's number, from 1; 0 while none was placed.
  var attempt = 0
  /// Attempts that ended before any rank was started, through no fault of the job. They use up no
  /// retry.
  var unstartedAttempts = 0
  /// The fencing epoch of the latest attempt.
  var epoch: Int64 = 0
  /// Why the latest attempt is being ended, where it is.
  var ending: JobEnding?
  /// Nodes that were lost under this job: avoided where possible.
  var lostNodes: Set<PeerID> = []
  /// What the network of the present attempt was given; `nil` where its ranks use their nodes' own.
  var network: OverlayAllotment?
  var reason: String?
  var exitStatus: Int32?
  var startedAt: Double?
  var endedAt: Double?
  var revision: Int64 = 0
  /// What repairs and preemptions made of it.
  var course = JobCourse()

  /// How many ranks the next attempt, or the present one, has: fewer than the spec says where the
  /// gang has shrunk.
  var ranks: Int { course.ranks ?? spec.gang.ranks }

  /// The attempts that use up retries.
  var countedAttempts: Int {
    attempt - unstartedAttempts - course.repairs - course.preemptions
  }

  /// The spec with as many ranks as there are.
  var presentSpec: JobSpec {
    var spec = spec
    spec.gang.ranks = ranks
    return spec
  }

  /// The same in a client's words.
  func status(ranks: [RankRecord]) -> JobStatus {
    StatusBudget.trimmed(
      JobStatus(
        id: id, spec: spec, owner: owner, state: state, attempt: attempt, reason: reason,
        exitStatus: exitStatus, ranks: ranks.map(\.status), submittedAt: submittedAt,
        startedAt: startedAt, endedAt: endedAt, revision: revision))
  }
}

/// Why an attempt is brought to its end before every rank has succeeded.
enum JobEnding: Hashable, Codable, Sendable {
  /// Someone asked for it.
  case cancelled
  /// It ran longer than the spec allows.
  case timedOut
  /// This rank was the first that failed.
  case failed(rank: Int)
  /// A more urgent job needs its places; why, for its owner.
  case preempted(reason: String)
  /// A node was lost, and the spec wants the gang mended.
  case lost(rank: Int)
}

extension JobSpec.Gang {
  /// True where a gang that loses a node is mended and does not fail.
  var isMended: Bool { terms?.onLoss ?? .fail != .fail }
}
