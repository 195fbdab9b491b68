import Foundation
import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("Nodes that say what no node says")
struct HostileNodeTests {
  @Test(
    "an executor that is somebody else's ends the rank as a fault of its node",
    arguments: ["head", "peer", "ticket", "node", "rank"])
  func executors(whose: String) async throws {
    try await withRig { (rig) async throws in
      let wrong: PeerID
      switch whose {
      case "head": wrong = rig.head
      case "peer": wrong = rig.buyer
      case "ticket":
        let request = TicketRequest(role: .buyer, uses: 1, lifetimeSeconds: 60, label: "")
        _ = try await rig.services.network.createTicket(request, caller: rig.operatorID)
        wrong = try PeerDirectory.id(of: sampleKey(201))
      case "node": wrong = rig.nodes[2].id
      default:
        let other = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
        wrong = FakeNode.executor(rig.lease(other, 0), on: rig.node(of: other, 0).id)
      }
      for node in rig.nodes.prefix(2) { await node.set(executor: wrong) }
      let accepted = try await rig.submit(.sample(ranks: 3))
      let job = try await rig.wait(for: accepted.id, .running)
      #expect(Set(job.ranks.map(\.node)) == [rig.nodes[2].id])
      #expect(job.attempt > 1)
      let routes = await rig.services.executorRoutes()
      #expect(routes.filter { $0.lease.job == job.id }.allSatisfy { $0.executor != wrong })
    }
  }

  @Test("the executor that a report names is no route")
  func reportedExecutor() async throws {
    var job = JobLifecycle(
      record: JobRecord(
        id: .sample, submissionID: "s", owner: .sample(0), spec: .sample(ranks: 1),
        workingFolder: nil, submittedAt: 0))
    let member = JobLifecycle.Member(
      rank: 0, node: .sample(1), nodeName: "node-1", address: "10.0.0.1", gpuIndices: [])
    _ = job.handle(.placed([member], epoch: 5), at: 1)
    let lease = LeaseID(job: .sample, attempt: 1, rank: 0)
    let end = LeaseReport.State.ended(.exited(status: 1), outputs: nil, lastLines: [])
    let report = LeaseReport(id: lease, epoch: 5, executor: .sample(9999), state: end)
    _ = job.handle(.report(report), at: 2)
    #expect(job.ranks[0].isEnded && job.ranks[0].executor == nil)
  }

  @Test("log bytes beyond every offset, or too many at once, are refused")
  func logs() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let lease = LeaseID(job: .sample, attempt: 1, rank: 0)
      let node = rig.nodes[0].id
      for offset in [Int64.max, -1] {
        await expect(throwsCode: .malformed) {
          try await rig.services.nodes.appendLog(
            lease, epoch: 1, offset: offset, bytes: Data([65]), caller: node)
        }
      }
      await expect(throwsCode: .tooLarge) {
        try await rig.services.nodes.appendLog(
          lease, epoch: 1, offset: 0, bytes: Data(count: 1 << 20 + 1), caller: node)
      }
    }
  }

  @Test(
    "a report of an end that no kernel gives is refused, also at registration",
    arguments: [
      ExitCause.signalled(signal: .max), .signalled(signal: 0), .signalled(signal: 65),
      .exited(status: 256), .exited(status: -1),
    ])
  func reports(cause: ExitCause) async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      await expect(throwsCode: .malformed) { try await rig.end(job, 0, cause) }
      await expect(throwsCode: .malformed) {
        try await rig.nodes[0].register(with: rig.services.nodes)
      }
      #expect(try await rig.status(job.id).state == .running)
    }
  }

  @Test(
    "a report with more last lines than a log has is refused",
    arguments: [Array(repeating: "", count: 1001), [String(repeating: "x", count: 600_000)]])
  func manyLines(lines: [String]) async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      await expect(throwsCode: .malformed) {
        try await rig.end(job, 0, .exited(status: 1), lastLines: lines)
      }
    }
  }

  @Test("what a node says is shortened by its bytes, not by its characters")
  func longTexts() async throws {
    let tower = "e" + String(repeating: "\u{301}", count: 100_000)
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      try await rig.end(job, 0, .exited(status: 1), lastLines: [tower])
      let printed = try await rig.wait(for: job.id, .failed)
      #expect(printed.ranks[0].lastLines.map(\.utf8.count) == [399])
      #expect((printed.reason?.utf8.count ?? 0) < 1000)

      await rig.nodes[0].set(prepareError: IorunError(.fileMissing, tower))
      let refused = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .failed)
      guard case .notStarted(let reason) = refused.ranks[0].cause else {
        Issue.record("\(refused.ranks)")
        return
      }
      #expect(reason.utf8.count == 499 && tower.utf8.starts(with: reason.utf8))
    }
  }

  @Test("a start that may have happened leaves its rank to the stop that follows")
  func uncertainStart() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let node = rig.nodes[0]
      await node.set(losesStartAnswers: true)
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      try await rig.runs(job, 0)
      try await eventually { rig.time.sleeperCount == 1 }
      await node.set(unreachable: true)
      _ = try await rig.jobs.cancel(job.id, caller: rig.buyer)
      let before = await node.startCalls
      try await eventually {
        rig.time.advance(by: .milliseconds(100))
        return await node.startCalls > before
      }
      for _ in 0..<200 {
        try #require(try await rig.status(job.id).state == .stopping)
        await Task.yield()
      }
      #expect(await node.running == [rig.lease(job, 0)])
      await node.set(unreachable: false)
      try await rig.wait(for: job.id, .cancelled, advancing: .milliseconds(100))
      #expect(await node.running.isEmpty)
    }
  }
}
