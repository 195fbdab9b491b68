/// The bounds of what the head keeps for runtime jobs, all of it in memory.
struct ClusterLimits: Sendable {
  var jobs = 10_000
  var actors = 200_000
  var groups = 100_000
  var bundles = 10_000
  /// Demands that wait for room.
  var waiting = 200_000
  /// Jobs that are over, kept for `register` and for lists.
  var endedJobs = 1_000
  /// Actors that are dead, kept for whoever asks why.
  var deadActors = 10_000
  /// The longest time that a demand which no node fits waits for nodes that are on their way.
  var arrivalGrace: Duration = .seconds(5)
  /// How often a node is asked at most to recall idle leases.
  var recallInterval: Duration = .milliseconds(100)
  /// How long a call of a node that has not registered yet waits for its registration.
  var registrationPatience: Duration = .seconds(10)
  /// The longest that one `waitGroup` waits: below the mesh's limit of a call.
  var groupWait: Duration = .seconds(50)
}
