/// Why a rank's process ended, as the kernel and its agent saw it.
public enum ExitCause: Hashable, Codable, Sendable {
  /// It ended by itself with this status; 0 is success.
  case exited(status: Int32)
  /// A signal ended it.
  case signalled(signal: Int32)
  /// It could not be started.
  case notStarted(reason: String)
  /// The job was cancelled.
  case cancelled
  /// The attempt ran longer than the spec allows.
  case timedOut
  /// Another rank of the gang failed first, so this one was stopped.
  case gangStopped
  /// Its node was lost: no word came from it within the lease.
  case nodeLost(reason: String)

  /// True only for an exit with status 0.
  public var isSuccess: Bool { self == .exited(status: 0) }
}

extension ExitCause: CustomStringConvertible {
  /// A phrase for people, for example `killed by signal 9 (SIGKILL)`.
  public var description: String {
    switch self {
    case .exited(let status):
      switch status {
      case 126: "exited with status 126 (the command is there but cannot be executed)"
      case 127: "exited with status 127 (command not found)"
      default: "exited with status \(status)"
      }
    case .signalled(let signal): "killed by signal \(signal) (\(Self.signalName(signal)))"
    case .notStarted(let reason): "could not be started: \(reason)"
    case .cancelled: "cancelled"
    case .timedOut: "stopped at the job's timeout"
    case .gangStopped: "stopped because another rank failed"
    case .nodeLost(let reason): "node lost: \(reason)"
    }
  }

  /// The name of a signal, such as `SIGKILL`.
  public static func signalName(_ signal: Int32) -> String {
    let names: [Int32: String] = [
      1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS",
      8: "SIGFPE", 9: "SIGKILL, often out of memory", 11: "SIGSEGV", 13: "SIGPIPE",
      14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ",
    ]
    return names[signal] ?? "no name"
  }
}
