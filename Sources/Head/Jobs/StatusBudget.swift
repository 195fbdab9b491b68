internal import IorunContract
internal import IorunCore

/// Keeps answers about jobs below the size of one message, whatever jobs were submitted.
enum StatusBudget {
  /// The most bytes of a list of jobs, well below what one message carries.
  static let listSize = 600 * 1024
  private static let mostRanks = 2000
  private static let mostListedRanks = 64
  private static let mostLines = 50
  private static let longestLine = 400
  private static let mostRanksWithLines = 16

  /// The last lines worth keeping of a rank that ended so: none unless it failed by itself.
  static func lastLines(_ lines: [String], of cause: ExitCause) -> [String] {
    switch cause {
    case .gangStopped, .cancelled, .exited(status: 0): return []
    default: return lines.suffix(mostLines).map { String($0.prefix(longestLine)) }
    }
  }

  /// One job: of a very large gang the ranks that failed and as many others as fit, last lines of
  /// the first that failed.
  static func trimmed(_ status: JobStatus) -> JobStatus {
    var status = status
    if status.ranks.count > mostRanks {
      let failed = status.ranks.filter { $0.cause.map { !$0.isSuccess } ?? false }
      let others = status.ranks.filter { $0.cause.map(\.isSuccess) ?? true }
      status.ranks = (failed + others).prefix(mostRanks).sorted { $0.rank < $1.rank }
    }
    var told = 0
    for index in status.ranks.indices where !status.ranks[index].lastLines.isEmpty {
      told += 1
      if told > mostRanksWithLines { status.ranks[index].lastLines = [] }
    }
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
    var texts = [spec.name, status.reason ?? ""] + spec.outputs
    switch spec.entrypoint {
    case .command(let words): texts += words
    case .swift(let target, let arguments): texts += [target] + arguments
    }
    for (name, value) in spec.environment { texts += [name, value] }
    return 600 + texts.reduce(0) { $0 + $1.utf8.count + 5 } + status.ranks.count * 300
  }
}
