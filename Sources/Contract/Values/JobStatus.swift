public import IorunCore

/// Where a job stands. Terminal states never change again.
public enum JobState: String, Codable, Sendable, Hashable, CaseIterable {
  /// Accepted; waits for a placement.
  case queued
  /// A gang is reserved; its nodes fetch the working folder and prepare.
  case preparing
  /// All ranks were told to start.
  case running
  /// The attempt is over; its ranks are being stopped before a retry, a failure or a cancellation.
  case stopping
  /// Every rank exited with status 0 and its outputs are kept.
  case succeeded
  /// It ended without success and no retry is left.
  case failed
  /// It was cancelled.
  case cancelled

  /// True for states that never change again.
  public var isTerminal: Bool {
    switch self {
    case .succeeded, .failed, .cancelled: true
    case .queued, .preparing, .running, .stopping: false
    }
  }
}

/// What the head knows of one rank of a job's latest attempt.
public struct RankStatus: Hashable, Codable, Sendable {
  /// Where a rank stands.
  public enum State: String, Codable, Sendable, Hashable {
    /// Its node was told to prepare.
    case preparing
    /// Its node is ready and waits for the others.
    case prepared
    /// Its process runs.
    case running
    /// Its process ended; `cause` says how.
    case ended
  }

  /// The rank's number, from 0.
  public var rank: Int
  /// The node that runs it.
  public var node: PeerID
  /// That node's name for people.
  public var nodeName: String
  /// Where it stands.
  public var state: State
  /// How it ended, once it has.
  public var cause: ExitCause?
  /// The last lines it printed, kept for a rank that failed.
  public var lastLines: [String]
  /// What it used in its sandbox, once it has ended; `nil` where nothing was counted.
  public var usage: RankUsage?

  /// Describes a rank.
  public init(
    rank: Int, node: PeerID, nodeName: String, state: State, cause: ExitCause? = nil,
    lastLines: [String] = [], usage: RankUsage? = nil
  ) {
    self.usage = usage
    self.rank = rank
    self.node = node
    self.nodeName = nodeName
    self.state = state
    self.cause = cause
    self.lastLines = lastLines
  }
}

/// What the head knows of a job.
public struct JobStatus: Hashable, Codable, Sendable {
  /// The job.
  public var id: JobID
  /// What was asked for.
  public var spec: JobSpec
  /// The peer that submitted it.
  public var owner: PeerID
  /// Where it stands.
  public var state: JobState
  /// The number of the latest attempt, from 1; 0 while none has started.
  public var attempt: Int
  /// Why it is in this state, for a person: what it waits for, or why it failed.
  public var reason: String?
  /// The exit status to hand on: the first failed rank's status, 128 + signal for a signal, or 0.
  public var exitStatus: Int32?
  /// The ranks of the latest attempt.
  public var ranks: [RankStatus]
  /// Seconds since 1970 (UTC) when it was accepted.
  public var submittedAt: Double
  /// Seconds since 1970 (UTC) when the latest attempt's ranks were started.
  public var startedAt: Double?
  /// Seconds since 1970 (UTC) when it reached a terminal state.
  public var endedAt: Double?
  /// Grows by at least one with every change of this job: the cursor for `watch`.
  public var revision: Int64

  /// Describes a job.
  public init(
    id: JobID, spec: JobSpec, owner: PeerID, state: JobState, attempt: Int, reason: String? = nil,
    exitStatus: Int32? = nil, ranks: [RankStatus] = [], submittedAt: Double,
    startedAt: Double? = nil, endedAt: Double? = nil, revision: Int64
  ) {
    self.id = id
    self.spec = spec
    self.owner = owner
    self.state = state
    self.attempt = attempt
    self.reason = reason
    self.exitStatus = exitStatus
    self.ranks = ranks
    self.submittedAt = submittedAt
    self.startedAt = startedAt
    self.endedAt = endedAt
    self.revision = revision
  }
}
