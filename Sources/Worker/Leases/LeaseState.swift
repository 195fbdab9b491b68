import IorunContract
import IorunCore

/// Where a lease stands on this node.
enum LeaseState: Hashable, Sendable {
  /// Its executor's identity is being made; nothing can be reported yet.
  case reserved
  /// Its working folder is being fetched.
  case preparing(executor: PeerID)
  /// It could start at once.
  case prepared(LeasePrepared)
  /// It was told to start: its process runs, or its end is being collected.
  case running(LeasePrepared)
  /// Nothing of it runs any more; its outputs are at the head.
  case ended(
    LeasePrepared, cause: ExitCause, outputs: OutputList?, lastLines: [String],
    usage: RankUsage? = nil)

  /// The identity of the rank's process, once it has one.
  var executor: PeerID? {
    switch self {
    case .reserved: nil
    case .preparing(let executor): executor
    case .prepared(let prepared), .running(let prepared), .ended(let prepared, _, _, _, _):
      prepared.executor
    }
  }

  /// The rendezvous port that was promised to the gang, while it may be in use.
  var port: UInt16? {
    switch self {
    case .prepared(let prepared), .running(let prepared): prepared.rendezvousPort
    case .reserved, .preparing, .ended: nil
    }
  }

  /// True once nothing of it runs any more.
  var isEnded: Bool {
    if case .ended = self { true } else { false }
  }

  /// What it used, once it has ended.
  var usage: RankUsage? {
    if case .ended(_, _, _, _, let usage) = self { usage } else { nil }
  }

  /// The same in the head's words.
  var reported: LeaseReport.State {
    switch self {
    case .reserved, .preparing, .prepared: .prepared
    case .running: .running
    case .ended(_, let cause, let outputs, let lastLines, _):
      .ended(cause, outputs: outputs, lastLines: lastLines)
    }
  }
}
