internal import IorunCore
internal import IorunWire

/// A job's processes of one runtime environment on this node, and the zygote that forks them. Belongs to
/// the hub's thread.
final class HubEnvironment {
  /// Where its zygote stands.
  enum State {
    /// Not started.
    case none
    /// Started; has not said hello.
    case starting
    /// Can fork.
    case ready(HubConnection)
    /// Could not be started, or could not build the environment.
    case failed(ProcessLoss)
  }

  let job: HubJob
  /// The hash; empty for the plain environment.
  let hash: String
  /// The environment, as text.
  let text: String
  var state = State.none
  /// Tells one zygote from the one after it.
  var generation = 0
  var process: RankProcess?
  var log: RankLog?
  /// When its zygote was started, or told last what it does.
  var heardAt: ContinuousClock.Instant?
  /// Workers to be forked once the zygote is there.
  var waiting: [HubProcess] = []

  init(job: HubJob, hash: String, text: String) {
    self.job = job
    self.hash = hash
    self.text = text
  }
}
