internal import IorunContract
internal import IorunCore

/// Keeps answers about jobs below the size of one message, whatever jobs were submitted and whatever
/// nodes say. All lengths are bytes of UTF-8: one character may have thousands.
enum StatusBudget {
  /// The most bytes of a list of jobs, well below the 1 MiB that one message carries.
  static let listSize = 600 * 1024
  /// The most bytes of one job.
  static let jobSize = 900 * 1024
  private static let mostRanks = 2000
  private static let mostListedRanks = 64
  private static let mostLines = 50
  private static let longestLine = 400
  private static let longestReason = 500
  private static let mostRanksWithLines = 16

  /// A reason that a node or an error gave, short enough to keep.
  static func clamped(reason: String) -> String { reason.prefix(utf8: longestReason) }

  /// The same cause with a reason that is short enough to keep.
  static func clamped(_ cause: ExitCause) -> ExitCause {
    switch cause {
    case .notStarted(let reason): .notStarted(reason: clamped(reason: reason))
    case .nodeLost(let reason): .nodeLost(reason: clamped(reason: reason))
    case .exited, .signalled, .cancelled, .timedOut, .gangStopped: cause
    }
  }

  /// The last lines worth keeping of a rank that ended so: none unless it failed by itself.
  static func lastLines(_ lines: [String], of cause: ExitCause) -> [String] {
    switch cause {
    case .gangStopped, .cancelled, .exited(status: 0): return []
    default: return lines.suffix(mostLines).map { $0.prefix(utf8: longestLine) }
    }
  }

  /// One job: of a very large gang the ranks that failed and as many others as fit, last lines of
  /// the first that failed.
  static func trimmed(_ status: JobStatus) -> JobStatus {
    var status = status
    var ranks = status.ranks
    var told = 0
    for index in ranks.indices where !ranks[index].lastLines.isEmpty {
      told += 1
      if told > mostRanksWithLines { ranks[index].lastLines = [] }
    }
    let failed = ranks.filter { $0.cause.map { !$0.isSuccess } ?? false }
    let others = ranks.filter { $0.cause.map(\.isSuccess) ?? true }
    status.ranks = []
    var left = jobSize - size(of: status)
    for var rank in (failed + others).prefix(mostRanks) {
      if size(of: rank) > left { rank.lastLines = [] }
      left -= size(of: rank)
      if left < 0 { break }
      status.ranks.append(rank)
    }
    status.ranks.sort { $0.rank < $1.rank }
    return status
  }

  /// A list of jobs: no last lines, no ranks of large gangs, and only as many jobs as fit.
  static func list(_ statuses: [JobStatus]) -> [JobStatus] {
    var left = listSize
    var listed: [JobStatus] = []
    for var status in statuses {
      if status.ranks.count > mostListedRanks { status.ranks = [] }
      for index in status.ranks.indices { status.ranks[index].lastLines = [] }
      left -= size(of: status)
      if left < 0, !listed.isEmpty { break }
      listed.append(status)
    }
    return listed
  }

  /// An upper estimate of the encoded size, in bytes.
  private static func size(of status: JobStatus) -> Int {
    let spec = status.spec
    var texts = [spec.name, status.reason ?? "", spec.gang.gpuModel ?? ""] + spec.outputs
    switch spec.entrypoint {
    case .command(let words): texts += words
    case .swift(let target, let arguments): texts += [target] + arguments
    }
    for (name, value) in spec.environment { texts += [name, value] }
    for (name, value) in spec.gang.terms?.labels ?? [:] { texts += [name, value] }
    return 600 + size(of: texts) + status.ranks.reduce(0) { $0 + size(of: $1) }
  }

  private static func size(of rank: RankStatus) -> Int {
    let reason: String
    switch rank.cause {
    case .notStarted(let text), .nodeLost(let text): reason = text
    default: reason = ""
    }
    return 240 + (rank.usage == nil ? 0 : 160 + size(of: rank.usage?.limitsHit ?? []))
      + size(of: [rank.nodeName, reason]) + size(of: rank.lastLines)
  }

  private static func size(of texts: [String]) -> Int {
    texts.reduce(0) { $0 + $1.utf8.count + 5 }
  }
}

extension String {
  /// The longest beginning of at most `count` bytes of UTF-8 that cuts no scalar in two.
  func prefix(utf8 count: Int) -> String {
    guard var end = utf8.index(startIndex, offsetBy: count, limitedBy: endIndex) else {
      return self
    }
    while end > startIndex, end.samePosition(in: unicodeScalars) == nil {
      end = utf8.index(before: end)
    }
    return String(unicodeScalars[..<end])
  }
}
