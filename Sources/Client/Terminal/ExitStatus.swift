public import IorunCore

/// The exit status of the command line, for scripts. The numbers never change their meaning.
public enum ExitStatus: Int32, Sendable, Hashable, CaseIterable {
  /// It worked.
  case ok = 0
  /// Something failed that has no number of its own.
  case error = 1
  /// The job fits on no set of the nodes there are.
  case noPlacement = 2
  /// The job ran and ended without success.
  case jobFailed = 3
  /// There is no job, node, ticket or output of that name.
  case notFound = 4
  /// The head does not allow it, or did not admit this peer.
  case notAllowed = 5
  /// A deadline passed; the thing may or may not have happened.
  case timedOut = 7
  /// The command line or the spec is wrong; nothing was started.
  case usage = 64

  /// The status with which a command ends on an error of this code.
  public init(for code: IorunError.Code) {
    self =
      switch code {
      case .noPlacement: .noPlacement
      case .jobFailed: .jobFailed
      case .notFound: .notFound
      case .notAllowed, .keyNotAdmitted, .ticketInvalid, .ticketExpired, .ticketSpent, .peerRevoked:
        .notAllowed
      case .timedOut: .timedOut
      case .specInvalid: .usage
      default: .error
      }
  }
}
