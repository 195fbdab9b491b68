internal import IorunContract
internal import IorunCore

/// A rank of a job in JSON.
struct RankView: Encodable, Sendable {
  let rank: Int
  let node: String
  let nodeName: String
  let state: String
  let cause: CauseView?
  let lastLines: [String]
  let usage: UsageView?

  init(_ rank: RankStatus) {
    self.rank = rank.rank
    node = rank.node.description
    nodeName = rank.nodeName
    state = rank.state.rawValue
    cause = rank.cause.map(CauseView.init)
    lastLines = rank.lastLines
    usage = rank.usage.map(UsageView.init)
  }
}

/// What a rank used in JSON.
struct UsageView: Encodable, Sendable {
  let peakMemoryBytes: UInt64?
  let outOfMemoryKills: Int?
  let refusedProcesses: Int?
  let throttledSeconds: Double?
  let limitsHit: [String]

  init(_ usage: RankUsage) {
    peakMemoryBytes = usage.peakMemory?.rawValue
    outOfMemoryKills = usage.outOfMemoryKills
    refusedProcesses = usage.refusedProcesses
    throttledSeconds = usage.throttledMilliseconds.map { Double($0) / 1000 }
    limitsHit = usage.limitsHit
  }
}

/// How a rank ended in JSON: `kind` for programs, `text` for people.
struct CauseView: Encodable, Sendable {
  let kind: String
  let status: Int32?
  let signal: Int32?
  let text: String

  init(_ cause: ExitCause) {
    text = cause.description
    var (status, signal): (Int32?, Int32?) = (nil, nil)
    switch cause {
    case .exited(let value): (kind, status) = ("exited", value)
    case .signalled(let value): (kind, signal) = ("signalled", value)
    case .notStarted: kind = "not_started"
    case .cancelled: kind = "cancelled"
    case .timedOut: kind = "timed_out"
    case .gangStopped: kind = "gang_stopped"
    case .nodeLost: kind = "node_lost"
    }
    (self.status, self.signal) = (status, signal)
  }
}
