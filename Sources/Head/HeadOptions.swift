public import IorunMesh

/// The head's settings that tests and operators change.
public struct HeadOptions: Sendable {
  /// By which times nodes are judged alive, suspect, unreachable or dead.
  public var liveness = PeerLiveness.Settings()
  /// A head that was stopped for so long does not count that as its nodes' silence.
  public var stallAfter: Duration = .milliseconds(750)
  /// A head that looks at its nodes later than this after it should have counts what it was late as
  /// its own fault.
  public var usualLateness: Duration = .milliseconds(100)
  /// How often others are asked whether they still reach a node that is silent, and how many.
  public var probeInterval: Duration = .seconds(3)
  /// How many nodes are asked at once.
  public var witnesses = 3
  /// After so long without a word from the head, a node stops its ranks by itself.
  public var fenceAfter: Duration = .seconds(30)
  /// How much longer than `fenceAfter` a lost node's ranks may live: a heartbeat that was under way,
  /// and the grace between `SIGTERM` and `SIGKILL`.
  public var fenceMargin: Duration = .seconds(10)
  /// The same where a job has a fence of its own: a second until its ranks are killed, and one for
  /// timers and for clocks that do not run at the same rate.
  public var ownFenceMargin: Duration = .seconds(2)
  /// How long a restarted head waits for its nodes before their ranks count as lost.
  public var restartGrace: Duration = .seconds(20)
  /// How much later than the node the head enforces a job's timeout.
  public var timeoutSlack: Duration = .seconds(5)
  /// For how long the nodes of a gang may prepare it: fetch its files and image, make its network. A
  /// rank that is not prepared by then ends, so that one node that never gets done does not hold the
  /// places of all others.
  public var prepareWithin: Duration = .seconds(3600)
  /// For how long a gang that wants to be near itself waits for fresh round trips among the nodes that
  /// suit it best: a node tells every 10 s, and a second later what it was asked then.
  public var refineWithin: Duration = .seconds(25)
  /// How often the head looks at what only time changes.
  public var tick: Duration = .milliseconds(250)
  /// For how long smaller jobs may go past a gang that does not fit; after it what becomes free is
  /// held for the gang.
  public var holdAfter: Duration = .seconds(600)
  /// For how long after that a gang that waits counts on running jobs without a time limit to end when
  /// others like them did; then only bound ends count, so that what runs meanwhile on what is held for
  /// the gang cannot delay it for ever.
  public var expectFor: Duration = .seconds(3600)
  /// For how long nothing is taken back from a gang that has started, whoever needs it.
  public var committedFor: Duration = .seconds(3600)
  /// The pause before the first repeat of a call that did not reach a node; doubles up to 2 s.
  public var retryPause: Duration = .milliseconds(100)
  /// How many jobs may be waiting or running at once.
  public var maximumLiveJobs = 10_000
  /// How many of them may be one owner's.
  public var maximumLiveJobsOfOwner = 1_000
  /// How many calls of one caller may wait for news of jobs at once; more are answered at once.
  public var maximumWaits = 64
  /// How many events of jobs that are over are kept.
  public var keptEvents = 100_000
  /// The most bytes of one rank's log that are kept: what a node keeps (64 MiB, and the last 256 KiB of a
  /// longer one), and the node's own lines that say so.
  public var logLimit: Int64 = (64 << 20) + (512 << 10)
  /// The bytes on the head's disk that chunks must leave to its database; 5 % of a small disk.
  public var reservedDisk: Int64 = 1 << 30

  /// How it asks nodes to prove what they are.
  public var proofs = ProofSettings()

  /// The loopback `HOST:PORT` on which proofs are served over HTTP; `nil` where they are not.
  public var http: String?

  /// The settings of a network in ordinary use.
  public init() {}
}
