import Foundation
import IorunContract
import IorunCore

@testable import IorunWorker

/// An agent with its surroundings.
struct Stage {
  let folder: TemporaryFolder
  let head = FakeHead()
  let content = FakeContent()
  let executors = FakeExecutors()
  let agent: NodeAgentCore

  init(
    gpus: Int = 0, supervisor: String = RealProcesses.supervisor,
    clock: any Clock<Duration> = ContinuousClock()
  ) throws {
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
      settings: settings, clock: clock)
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
    -> (cause: ExitCause, outputs: OutputList?, lastLines: [String])
  {
    try await eventually("the end of \(grant.id) is told") { await head.end(grant.id) }
  }

  /// Prepares, starts, and waits for the end.
  func run(_ grant: LeaseGrant) async throws
    -> (cause: ExitCause, outputs: OutputList?, lastLines: [String])
  {
    _ = try await prepare(grant)
    try await start(grant)
    return try await end(grant)
  }

  /// The names of the lease folders that are there.
  func leaseFolders() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path + "/leases")
  }

  func workFile(_ grant: LeaseGrant, _ name: String) -> String? {
    folder.read("leases/\(grant.id.job)-\(grant.id.attempt)-\(grant.id.rank)/work/\(name)")
  }
}
