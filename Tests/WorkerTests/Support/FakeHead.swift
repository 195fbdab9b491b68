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
  /// Forgets so many bytes of a log's end once, as a head that was killed would.
  var lose = 0

  func setAway(_ away: Bool) { isAway = away }
  func loseBytes(_ count: Int) { lose = count }

  func report(_ report: LeaseReport) throws {
    try answer()
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
  func end(_ lease: LeaseID) -> (cause: ExitCause, outputs: [OutputFile], lastLines: [String])? {
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

/// Content without a head: stages one file, or an error, or nothing for ever; collects by name.
actor FakeContent: LeaseContent {
  var failure: IorunError?
  var hangs = false
  private(set) var staging = 0

  func fail(_ error: IorunError?) { failure = error }
  func hang() { hangs = true }

  func stage(_ workingFolder: Blob, into folder: String) async throws {
    staging += 1
    if hangs { try await Task.sleep(for: .seconds(3600)) }
    if let failure { throw failure }
    try Data("staged\n".utf8).write(to: URL(fileURLWithPath: folder + "/input"))
  }

  func collect(_ patterns: [String], from folder: String, rank: Int) throws -> [OutputFile] {
    if let failure { throw failure }
    return try patterns.sorted().map { name in
      let size = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")).count
      return OutputFile(
        rank: rank, path: name, content: Blob(size: Bytes(UInt64(size)), chunks: []),
        executable: false)
    }
  }
}

/// Counts identities.
actor FakeExecutors {
  private(set) var acquired: [LeaseID] = []
  private(set) var released: [LeaseID] = []

  func acquire(_ lease: LeaseID) -> (PeerID, [String: String]) {
    acquired.append(lease)
    return (PeerID(high: 7, low: UInt64(acquired.count)), ["IORUN_IDENTITY": "\(lease)"])
  }

  func release(_ lease: LeaseID) { released.append(lease) }
}

/// An agent with its surroundings.
struct Stage {
  let folder: TemporaryFolder
  let head = FakeHead()
  let content = FakeContent()
  let executors = FakeExecutors()
  let agent: NodeAgentCore

  init(gpus: Int = 0, supervisor: String = RealProcesses.supervisor) throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    var settings = AgentSettings(stateFolder: folder.path)
    settings.supervisor = supervisor
    settings.stopGrace = .milliseconds(200)
    settings.retryPauses = .milliseconds(5) ... .milliseconds(20)
    agent = NodeAgentCore(
      facts: Sample.facts(gpus: gpus), headID: Sample.head, head: head, content: content,
      executors: ExecutorSource(
        acquire: { [executors] in await executors.acquire($0) },
        release: { [executors] in await executors.release($0) }),
      settings: settings)
  }

  func prepare(_ grant: LeaseGrant) async throws -> LeasePrepared {
    try await agent.prepare(grant, caller: Sample.head)
  }

  func start(_ grant: LeaseGrant) async throws {
    try await agent.start(grant.id, epoch: grant.epoch, gang: Sample.gang, caller: Sample.head)
  }

  func stop(_ grant: LeaseGrant, _ cause: ExitCause) async throws {
    try await agent.stop(grant.id, cause: cause, caller: Sample.head)
  }

  func forget(_ grant: LeaseGrant) async throws {
    try await agent.forget(grant.id, caller: Sample.head)
  }

  /// Waits for the end that the head is told.
  func end(_ grant: LeaseGrant) async throws
    -> (cause: ExitCause, outputs: [OutputFile], lastLines: [String])
  {
    try await eventually("the end of \(grant.id) is told") { await head.end(grant.id) }
  }

  /// Prepares, starts, and waits for the end.
  func run(_ grant: LeaseGrant) async throws
    -> (cause: ExitCause, outputs: [OutputFile], lastLines: [String])
  {
    _ = try await prepare(grant)
    try await start(grant)
    return try await end(grant)
  }

  func workFile(_ grant: LeaseGrant, _ name: String) -> String? {
    folder.read("leases/\(grant.id.job)-\(grant.id.attempt)-\(grant.id.rank)/work/\(name)")
  }
}
