import Foundation
import IorunContent
import IorunContract
import IorunCore

@testable import IorunWorker

/// A head that keeps what it is told, and can be away.
actor FakeHead: HeadLink {
  private(set) var reports: [LeaseReport] = []
  private(set) var logs: [LeaseID: Data] = [:]
  private(set) var refusedCalls = 0
  var isAway = false
  /// Refuses reports that bring outputs, as the mesh does with a message that is too large.
  var refusesOutputs = false
  /// Forgets so many bytes of a log's end once, as a head that was killed would.
  var lose = 0

  func setAway(_ away: Bool) { isAway = away }
  func refuseOutputs() { refusesOutputs = true }
  func loseBytes(_ count: Int) { lose = count }

  func report(_ report: LeaseReport) throws {
    try answer()
    if refusesOutputs, case .ended(_, .some, _) = report.state {
      throw IorunError(.tooLarge, "a payload is over the limit")
    }
    reports.append(report)
  }

  func appendLog(_ lease: LeaseID, epoch: Int64, offset: Int64, bytes: Data) throws -> Int64 {
    try answer()
    var log = logs[lease, default: Data()]
    if Int(offset) <= log.count { log = log.prefix(Int(offset)) + bytes }
    log = log.dropLast(min(lose, log.count))
    lose = 0
    logs[lease] = Data(log)
    return Int64(log.count)
  }

  func log(_ lease: LeaseID) -> String { String(decoding: logs[lease] ?? Data(), as: UTF8.self) }

  /// How a lease ended, once told.
  func end(_ lease: LeaseID) -> (cause: ExitCause, outputs: OutputList?, lastLines: [String])? {
    for report in reports where report.id == lease {
      if case .ended(let cause, let outputs, let lines) = report.state {
        return (cause, outputs, lines)
      }
    }
    return nil
  }

  private func answer() throws {
    guard isAway else { return }
    refusedCalls += 1
    throw IorunError(.unreachable, "the head is away")
  }
}
