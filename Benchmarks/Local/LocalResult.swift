/// What a network on this machine costs.
struct LocalResult: Encodable {
  /// What one process costs while nothing happens.
  struct Idle: Encodable {
    var residentBytes: UInt64
    /// Pages shared with other processes count in part.
    var proportionalBytes: UInt64
    var threads: Int
    /// Of one core.
    var cpuPercent: Double
  }

  var nodes: Int
  /// What `up` itself reports: until the last node is ready.
  var readyMilliseconds: [Double] = []
  /// The whole command, from its start to its end.
  var upMilliseconds: [Double] = []
  /// `submit -- true`, the whole command: until the job has ended.
  var submitMilliseconds: [Double] = []
  var downMilliseconds: [Double] = []
  var idleSeconds: Double
  var idleHead: Idle?
  var idleNode: Idle?
}
