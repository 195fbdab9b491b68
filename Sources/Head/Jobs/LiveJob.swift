internal import IorunContract
internal import IorunCore

/// A job that is not over, in the director's memory: its lifecycle, and what is not yet on disk.
struct LiveJob: Sendable {
  var lifecycle: JobLifecycle
  /// How long ago what its record bears the times of was.
  var ages: JobAges
  /// What was committed last: all that a client is ever told.
  var committed: JobStatus
  /// True where something has changed since the last commit began.
  var isDirty = false
  /// True while a commit is under way.
  var isCommitting = false
  var events: [JobEvent] = []
  var outputs: [LeaseOutputs] = []
  /// What nodes are to be told once the commit is on disk.
  var calls: [JobLifecycle.Action] = []
  /// What was said last about why it waits: for other jobs to end (true) or for other nodes.
  var waitsForJobs: Bool?

  init(lifecycle: JobLifecycle, at moment: HeadClock.Moment) {
    self.lifecycle = lifecycle
    ages = JobAges(lifecycle.record, at: moment)
    committed = lifecycle.record.status(ranks: lifecycle.ranks)
  }

  var isQueued: Bool { lifecycle.record.state == .queued }
}
