import GRDB
import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("Lost nodes and restarted heads")
struct NodeLossTests {
  /// Lets time pass while all nodes but `silent` send heartbeats.
  private func pass(_ seconds: Int, _ rig: Rig, silent: FakeNode? = nil) async throws {
    for _ in 0..<seconds {
      for _ in 0..<2 {
        rig.time.advance(by: .milliseconds(500))
        for node in rig.nodes where node.id != silent?.id { try await node.heartbeat() }
        await rig.services.tick()
      }
    }
  }

  @Test("a node that is alive and never gets a rank prepared does not hold the gang's other places")
  func neverPrepared() async throws {
    var options = HeadOptions()
    options.prepareWithin = .seconds(30)
    try await withRig(options: options) { (rig) async throws in
      let slow = rig.nodes[1]
      await slow.set(holdsPreparation: true)
      let job = try await rig.submit(.sample(ranks: 2, cpus: 4))
      let first = try await rig.wait(for: job.id, .preparing)
      #expect(first.ranks.map(\.node).contains(slow.id))
      let again = try await rig.wait(for: job.id, .running, attempt: 2, advancing: .seconds(1))
      #expect(!again.ranks.map(\.node).contains(slow.id))
      try await eventually("the slow node was not told to forget") {
        await !slow.forgotten.isEmpty
      }
      for rank in 0..<2 { try await rig.end(again, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
    }
  }

  @Test("a node that falls silent loses its ranks and the job goes on without it")
  func silence() async throws {
    try await withRig { (rig) async throws in
      let accepted = try await rig.submit(.sample(ranks: 2, retries: 1))
      let job = try await rig.wait(for: accepted.id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let lost = rig.node(of: job, 1)
      await lost.set(unreachable: true)
      // 20 s until it counts as lost; 30 s for its fence and 10 s of margin from its last word on.
      try await pass(41, rig, silent: lost)
      let second = try await rig.wait(for: job.id, .running, attempt: 2)
      #expect(!second.ranks.map(\.node).contains(lost.id))
      for rank in 0..<2 { try await rig.end(second, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
      // When it comes back, nobody wants what it still holds.
      await lost.set(unreachable: false)
      let orders = try await lost.register(with: rig.services.nodes)
      #expect(orders.stop == [rig.lease(job, 1)])
    }
  }

  @Test("no retry is placed before a lost node has surely stopped its ranks")
  func fence() async throws {
    try await withRig { (rig) async throws in
      let accepted = try await rig.submit(.sample(ranks: 2, retries: 1))
      let job = try await rig.wait(for: accepted.id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let lost = rig.node(of: job, 1)
      await lost.set(unreachable: true)
      try await pass(21, rig, silent: lost)
      let waits = "waits until \(lost.facts.name), which was lost, has surely stopped its ranks"
      try await eventually { try await rig.status(job.id).reason == waits }
      for _ in 0..<18 {
        try await pass(1, rig, silent: lost)
        let status = try await rig.status(job.id)
        #expect(status.state == .queued && status.attempt == 1 && status.reason == waits)
      }
      try await pass(1, rig, silent: lost)
      try await rig.wait(for: job.id, .running, attempt: 2)
    }
  }

  @Test("a job with a fence of its own starts again 5 s after a vanished node's last word")
  func ownFence() async throws {
    try await withRig { (rig) async throws in
      // One rank on each node, and room for one of the hasty job.
      let patient = try await rig.wait(
        for: rig.submit(.sample(ranks: 3, cpus: 3, retries: 1)).id, .running)
      for rank in 0..<3 { try await rig.runs(patient, rank) }
      let hasty = try await rig.wait(
        for: rig.submit(.sample(ranks: 1, retries: 1, fence: 3)).id, .running)
      try await rig.runs(hasty, 0)
      let lost = rig.node(of: hasty, 0)
      #expect(patient.ranks.map(\.node).contains(lost.id))
      await lost.set(unreachable: true)
      // 3 s until its node stops it by itself, and 2 s of margin.
      for _ in 0..<4 {
        try await pass(1, rig, silent: lost)
        #expect(try await rig.status(hasty.id).attempt == 1)
        #expect(try await rig.status(hasty.id).state == .running)
      }
      try await pass(2, rig, silent: lost)
      let second = try await rig.wait(for: hasty.id, .running, attempt: 2)
      #expect(!second.ranks.map(\.node).contains(lost.id))
      // Back after 10 s: the other job's ranks ran on, and the hasty one's lease is unwanted.
      try await pass(4, rig, silent: lost)
      await lost.set(unreachable: false)
      #expect(try await rig.status(patient.id).state == .running)
      #expect(try await rig.status(patient.id).attempt == 1)
      let orders = try await rig.services.nodes.heartbeat(
        leases: [rig.lease(hasty, 0)], roundTripMilliseconds: nil, caller: lost.id)
      #expect(orders.registerAgain == false && orders.stop == [rig.lease(hasty, 0)])
    }
  }

  @Test("a job with a fence of its own does not wait for that of a node that died under it again")
  func ownFenceOfDead() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(
        for: rig.submit(.sample(ranks: 2, retries: 1, fence: 30)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let lost = rig.node(of: job, 1)
      await lost.set(unreachable: true)
      // Dead after 20 s; with a fence of 30 s and 2 s of margin the retry comes after 32 s, not 40.
      try await pass(31, rig, silent: lost)
      #expect(try await rig.status(job.id).attempt == 1)
      try await pass(2, rig, silent: lost)
      try await rig.wait(for: job.id, .running, attempt: 2)
    }
  }

  @Test("a lost node that is back without the lease lets the retry start at once")
  func backWithoutLease() async throws {
    try await withRig { (rig) async throws in
      let job = try await lose(rig)
      let lost = rig.node(of: job, 1)
      await lost.restart()
      try await lost.register(with: rig.services.nodes)
      let second = try await rig.wait(for: job.id, .running, attempt: 2)
      #expect(!second.ranks.map(\.node).contains(lost.id))
    }
  }

  @Test("a lost node that is back with the lease holds the retry up until it has let go")
  func backWithLease() async throws {
    try await withRig { (rig) async throws in
      let job = try await lose(rig)
      let lost = rig.node(of: job, 1)
      let report = LeaseReport(
        id: rig.lease(job, 1), epoch: 1, executor: .sample(1), state: .running)
      let orders = try await rig.services.nodes.register(
        NodeRegistration(facts: lost.facts, leases: [report]), caller: lost.id)
      #expect(orders.stop == [report.id])
      for _ in 0..<5 {
        rig.time.advance(by: .seconds(1))
        _ = try await rig.services.nodes.heartbeat(
          leases: [report.id], roundTripMilliseconds: nil, caller: lost.id)
        for node in rig.nodes where node.id != lost.id { try await node.heartbeat() }
        await rig.services.tick()
        #expect(try await rig.status(job.id).state == .queued)
      }
      _ = try await rig.services.nodes.heartbeat(
        leases: [], roundTripMilliseconds: nil, caller: lost.id)
      await rig.services.tick()
      try await rig.wait(for: job.id, .running, attempt: 2)
    }
  }

  /// A job of two ranks that waits for its retry after the node of rank 1 fell silent; that node
  /// can be reached again, but has not registered.
  private func lose(_ rig: Rig) async throws -> JobStatus {
    let accepted = try await rig.submit(.sample(ranks: 2, retries: 1))
    let job = try await rig.wait(for: accepted.id, .running)
    for rank in 0..<2 { try await rig.runs(job, rank) }
    let lost = rig.node(of: job, 1)
    await lost.set(unreachable: true)
    try await pass(21, rig, silent: lost)
    try await eventually {
      try await rig.status(job.id).reason?.hasPrefix("waits until") == true
    }
    await lost.set(unreachable: false)
    return job
  }

  @Test("without a retry the reason names the lost node even where its peer failed first")
  func trueReason() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 2)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let lost = rig.node(of: job, 1)
      await lost.set(unreachable: true)
      try await rig.end(job, 0, .exited(status: 1), lastLines: ["connection reset"])
      try await pass(21, rig, silent: lost)
      let end = try await rig.wait(for: job.id, .failed)
      let names = job.ranks.map(\.nodeName)
      #expect(
        end.reason == """
          rank 1 on \(names[1]) was lost with its node: no word came from it for 20 s; after that, \
          rank 0 on \(names[0]) exited with status 1: connection reset
          """)
    }
  }

  @Test("an agent that restarted has lost its ranks")
  func agentRestart() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 2)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let node = rig.node(of: job, 0)
      await node.restart()
      try await node.register(with: rig.services.nodes)
      let end = try await rig.wait(for: job.id, .failed)
      #expect(end.reason?.contains("the node's agent restarted") == true)
    }
  }

  @Test("a job that runs survives the head's death and ends well")
  func headRestart() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 2)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      await rig.kill()
      try await rig.open()
      #expect(try await rig.status(job.id).state == .running)
      let orders = try #require(
        await rig.services.nodes.heartbeat(
          leases: [], roundTripMilliseconds: nil, caller: rig.nodes[0].id) as NodeOrders?)
      #expect(orders.registerAgain)
      try await rig.registerAll()
      for rank in 0..<2 { try await rig.end(job, rank, .exited(status: 0)) }
      let end = try await rig.wait(for: job.id, .succeeded)
      #expect(end.attempt == 1)
    }
  }

  @Test("a job that was being prepared when the head died is prepared and started after it")
  func headRestartWhilePreparing() async throws {
    try await withRig { (rig) async throws in
      await rig.nodes[1].set(unreachable: true)
      let job = try await rig.submit(.sample(ranks: 3))
      try await eventually {
        try await rig.status(job.id).ranks.count { $0.state == .prepared } == 2
      }
      await rig.kill()
      await rig.nodes[1].set(unreachable: false)
      try await rig.open()
      try await rig.registerAll()
      let running = try await rig.wait(for: job.id, .running)
      #expect(running.attempt == 1)
      for rank in 0..<3 { try await rig.runs(running, rank) }
    }
  }

  @Test("an end that the head missed while it was down is taken in at registration")
  func endWhileDown() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      try await rig.runs(job, 0)
      await rig.kill()
      try? await rig.node(of: job, 0).end(rig.lease(job, 0), .exited(status: 0))
      try await rig.open()
      try await rig.registerAll()
      try await rig.wait(for: job.id, .succeeded)
    }
  }

  @Test("nodes that do not come back within the grace after a restart are lost")
  func grace() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      try await rig.runs(job, 0)
      await rig.kill()
      try await rig.open()
      for _ in 0..<19 {
        rig.time.advance(by: .seconds(1))
        await rig.services.tick()
      }
      #expect(try await rig.status(job.id).state == .running)
      for _ in 0..<2 {
        rig.time.advance(by: .seconds(1))
        await rig.services.tick()
      }
      let end = try await rig.wait(for: job.id, .failed)
      #expect(end.reason?.contains("did not come back within 20 s") == true)
    }
  }

  @Test("a head that was itself stopped does not blame its nodes")
  func stalledHead() async throws {
    try await withRig { (rig) async throws in
      rig.time.advance(by: .seconds(60))
      await rig.services.tick()
      let states = try await rig.services.network.nodes(caller: rig.operatorID).map(\.state)
      #expect(states == [.alive, .alive, .alive])
    }
  }

  @Test("a node that leaves gives its ranks up at once")
  func leave() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      try await rig.services.nodes.leave(caller: rig.nodes[0].id)
      let end = try await rig.wait(for: job.id, .failed)
      #expect(end.reason?.contains("it left the network") == true)
    }
  }

  @Test("an end that cannot be stored is told to nobody, and taken in once it can")
  func storeFailure() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      let lease = rig.lease(job, 0)
      try await rig.runs(job, 0)
      try await rig.services.store.write { db in
        try db.execute(
          sql: """
            CREATE TEMP TRIGGER broken BEFORE INSERT ON main.events
            BEGIN SELECT RAISE(ABORT, 'broken disk'); END
            """)
      }
      await expect(throwsCode: .fileSystem) {
        try await rig.nodes[0].end(lease, .exited(status: 0))
      }
      await rig.services.tick()
      #expect(try await rig.status(job.id).state == .running)
      #expect(try await rig.nodes[0].heartbeat()?.stop == [])
      #expect(await rig.nodes[0].forgotten.isEmpty)
      try await rig.services.store.write { try $0.execute(sql: "DROP TRIGGER broken") }
      try await rig.nodes[0].tell(lease)
      let end = try await rig.status(job.id)
      #expect(end.state == .succeeded && end.ranks[0].state == .ended)
      try await eventually { await rig.nodes[0].forgotten == [lease] }
    }
  }
}
