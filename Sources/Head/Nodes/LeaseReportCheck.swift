internal import IorunContract
internal import IorunCore

/// Refuses reports that no agent sends: every number and length has a bound. What an honest rank may
/// make long (its last lines, a reason) is let in here and shortened before it is kept.
enum LeaseReportCheck {
  private static let mostLines = 1000
  /// A node looks at the last 64 KiB of a log; bytes that are not UTF-8 grow to three.
  private static let lineBytes = 512 * 1024

  /// Throws `malformed`, naming what is wrong.
  static func check(_ report: LeaseReport) throws {
    guard report.epoch >= 0, report.id.attempt >= 1,
      (0..<JobLimits.ranks.upperBound).contains(report.id.rank)
    else { throw refusal("a lease '\(report.id)' in epoch \(report.epoch)") }
    guard report.usage?.isSound ?? true else { throw refusal("impossible figures of a rank") }
    guard case .ended(let cause, _, let lastLines) = report.state else { return }
    switch cause {
    case .exited(let status):
      guard (0...255).contains(status) else { throw refusal("the exit status \(status)") }
    case .signalled(let signal):
      guard (1...64).contains(signal) else { throw refusal("the signal \(signal)") }
    case .notStarted, .cancelled, .timedOut, .gangStopped, .nodeLost: break
    }
    guard lastLines.count <= mostLines,
      lastLines.reduce(0, { $0 + $1.utf8.count }) <= lineBytes
    else {
      throw refusal("\(lastLines.count) last lines of a rank, which are too many or too long")
    }
  }

  private static func refusal(_ what: String) -> IorunError {
    IorunError(
      .malformed, "a node reports \(what)",
      remedy: "Use the same version of iorun on the node and the head")
  }
}
