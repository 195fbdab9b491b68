import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("JobLifecycle")
struct JobLifecycleTests {
  private func lifecycle(ranks: Int = 2, retries: Int = 0) -> JobLifecycle {
    JobLifecycle(
      record: JobRecord(
        id: .sample, submissionID: "s", owner: .sample(0),
        spec: .sample(ranks: ranks, retries: retries), workingFolder: nil, submittedAt: 0))
  }

  private func members(_ nodes: Int...) -> [JobLifecycle.Member] {
    nodes.enumerated().map { rank, node in
      JobLifecycle.Member(
        rank: rank, node: .sample(node), nodeName: "node-\(node)", address: "10.0.0.\(node)",
        gpuIndices: [])
    }
  }

  private func lease(_ attempt: Int, _ rank: Int) -> LeaseID {
    LeaseID(job: .sample, attempt: attempt, rank: rank)
  }

  private func prepared(_ attempt: Int, _ rank: Int) -> JobLifecycle.Event {
    .prepared(
      lease(attempt, rank),
      LeasePrepared(executor: .sample(50 + rank), rendezvousPort: UInt16(2000 + rank)))
  }

  private func ended(_ attempt: Int, _ rank: Int, epoch: Int64, _ cause: ExitCause)
    -> JobLifecycle.Event
  {
    .report(
      LeaseReport(
        id: lease(attempt, rank), epoch: epoch, executor: .sample(50 + rank),
        state: .ended(cause, outputs: nil, lastLines: [])))
  }

  @Test("placed, prepared, prepared: only the last word starts the gang")
  func conversation() {
    var job = lifecycle()
    let grants = job.handle(.placed(members(1, 1), epoch: 5), at: 1)
    #expect(grants.count == 3)
    guard case .prepare(_, let grant) = grants[2] else {
      Issue.record("no grant")
      return
    }
    #expect(grant.epoch == 5 && grant.localRank == 1 && grant.localWorldSize == 2)
    #expect(job.handle(prepared(1, 1), at: 2) == [.persist(.prepared, "rank 1 on node-1")])
    let start = job.handle(prepared(1, 0), at: 3)
    let gang = GangStart(
      masterAddress: "10.0.0.1", masterPort: 2000, members: [.sample(50), .sample(51)],
      nodeCount: 1, nodeRank: 0)
    #expect(
      start == [
        .persist(.prepared, "rank 0 on node-1"), .persist(.started, "2 ranks"),
        .start(.sample(1), lease(1, 0), epoch: 5, gang),
        .start(.sample(1), lease(1, 1), epoch: 5, gang),
      ])
    #expect(job.record.state == .running && job.record.startedAt == 3)
  }

  @Test("a report of another epoch is ignored")
  func fencing() {
    var job = lifecycle(ranks: 1)
    _ = job.handle(.placed(members(1), epoch: 5), at: 1)
    _ = job.handle(prepared(1, 0), at: 1)
    #expect(job.handle(ended(1, 0, epoch: 4, .exited(status: 0)), at: 1) == [])
    #expect(job.record.state == .running)
  }

  @Test("a report that comes twice is only to be forgotten again")
  func twice() {
    var job = lifecycle()
    _ = job.handle(.placed(members(1, 2), epoch: 5), at: 1)
    for rank in 0..<2 { _ = job.handle(prepared(1, rank), at: 1) }
    _ = job.handle(ended(1, 0, epoch: 5, .exited(status: 0)), at: 1)
    let before = job.record
    #expect(
      job.handle(ended(1, 0, epoch: 5, .exited(status: 0)), at: 2)
        == [.forget(.sample(1), lease(1, 0))])
    #expect(job.record == before)
  }

  @Test("a node lost before the start costs no retry, but not for ever")
  func unstarted() {
    var job = lifecycle(ranks: 1)
    for attempt in 1...JobLifecycle.freeRestarts {
      _ = job.handle(.placed(members(attempt), epoch: Int64(attempt)), at: 1)
      _ = job.handle(.nodeLost(.sample(attempt), reason: "silent"), at: 1)
      #expect(job.record.state == .queued)
      #expect(job.record.lostNodes.contains(.sample(attempt)))
    }
    _ = job.handle(.placed(members(9), epoch: 9), at: 1)
    _ = job.handle(.nodeLost(.sample(9), reason: "silent"), at: 1)
    #expect(job.record.state == .failed)
  }

  @Test("a rank that is never prepared ends, the others stop, and its node is avoided")
  func preparationPassed() {
    var job = lifecycle()
    _ = job.handle(.placed(members(1, 2), epoch: 5), at: 1)
    _ = job.handle(prepared(1, 0), at: 2)
    #expect(job.handle(.preparationPassed(attempt: 0, seconds: 9), at: 3) == [])
    let actions = job.handle(.preparationPassed(attempt: 1, seconds: 9), at: 3)
    #expect(
      actions.suffix(2) == [
        .forget(.sample(2), lease(1, 1)), .stop(.sample(1), lease(1, 0), .gangStopped),
      ], "\(actions)")
    #expect(job.record.state == .stopping && job.record.lostNodes == [.sample(2)])
    #expect(job.ranks[1].cause == .notStarted(reason: "its node had not prepared it after 9 s"))
    // Only what runs holds its place.
    #expect(job.heldSeats.map(\.node) == [.sample(1)])
    _ = job.handle(ended(1, 0, epoch: 5, .gangStopped), at: 4)
    #expect(job.record.state == .queued && job.record.unstartedAttempts == 1)
    // A gang that runs is none that prepares.
    _ = job.handle(.placed(members(1, 3), epoch: 6), at: 5)
    for rank in 0..<2 { _ = job.handle(prepared(2, rank), at: 6) }
    #expect(job.handle(.preparationPassed(attempt: 2, seconds: 9), at: 7) == [])
    #expect(job.record.state == .running)
  }

  @Test("a gang whose first rank is still preparing at a failure waits for its answer")
  func failureWhilePreparing() {
    var job = lifecycle()
    _ = job.handle(.placed(members(1, 2), epoch: 5), at: 1)
    _ = job.handle(.prepareFailed(lease(1, 1), IorunError(.fileMissing, "gone")), at: 1)
    #expect(job.record.state == .stopping)
    // The grant arrived after the stop: the node must hear of the stop again.
    let late = job.handle(prepared(1, 0), at: 2)
    #expect(late.last == .stop(.sample(1), lease(1, 0), .gangStopped))
    _ = job.handle(ended(1, 0, epoch: 5, .gangStopped), at: 3)
    #expect(job.record.state == .failed)
    #expect(job.record.reason == "rank 1 on node-2 could not be started: gone")
  }

  @Test("whatever happens in whatever order, what must always hold holds, and every job ends")
  func property() {
    for seed in UInt64(1)...3000 {
      var world = LifecycleWorld(seed: seed)
      for _ in 0..<Int.random(in: 5...200, using: &world.random) { world.step() }
      world.settle()
      #expect(world.faults.isEmpty, "seed \(seed): \(world.faults)")
      if !world.faults.isEmpty { return }
    }
  }
}
