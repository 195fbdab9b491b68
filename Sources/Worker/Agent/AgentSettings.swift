public import IorunCore

/// How a node's agent behaves. The defaults are for real use; tests shorten the times.
public struct AgentSettings: Sendable {
  /// The node's state folder; leases live in `leases` below it.
  public var stateFolder: String
  /// The program that supervises ranks: iorun itself.
  public var supervisor = "/proc/self/exe"
  /// `PATH` of the ranks.
  public var searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  /// How long a rank has between `SIGTERM` and `SIGKILL` when it is stopped.
  public var stopGrace: Duration = .seconds(5)
  /// How much of a rank's output is kept.
  public var logLimit: Bytes = .mebi(64)
  /// Where `logLimit` is set, in the words that a cut log ends with.
  public var logLimitSetting = "the node"
  /// The first and the longest pause before a call to an absent head is made again.
  public var retryPauses: ClosedRange<Duration> = .milliseconds(200) ... .seconds(5)

  /// The defaults, with this state folder.
  public init(stateFolder: String) { self.stateFolder = stateFolder }
}
