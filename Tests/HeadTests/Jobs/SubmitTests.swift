import GRDB
import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("What is accepted, and who sees it")
struct SubmitTests {
  @Test("the same submission twice is one job, also after a restart")
  func duplicate() async throws {
    try await withRig { (rig) async throws in
      let first = try await rig.submit(.sample(), id: "once")
      async let second = rig.submit(.sample(), id: "once")
      async let third = rig.submit(.sample(), id: "once")
      #expect(try await second.id == first.id)
      #expect(try await third.id == first.id)
      await rig.kill()
      try await rig.open()
      #expect(try await rig.submit(.sample(), id: "once").id == first.id)
      #expect(try await rig.submit(.sample(), id: "once", by: rig.otherBuyer).id != first.id)
    }
  }

  @Test("a buyer sees and touches its own jobs only, an operator all")
  func tenancy() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.submit(.sample())
      await expect(throwsCode: .notFound) {
        try await rig.jobs.watch(job.id, after: 0, waitMilliseconds: 0, caller: rig.otherBuyer)
      }
      await expect(throwsCode: .notFound) {
        try await rig.jobs.cancel(job.id, caller: rig.otherBuyer)
      }
      await expect(throwsCode: .notFound) {
        try await rig.jobs.logs(
          job.id, rank: nil, cursors: [], waitMilliseconds: 0, caller: rig.otherBuyer)
      }
      let others = try await rig.jobs.jobs(limit: 10, caller: rig.otherBuyer)
      #expect(others.isEmpty)
      #expect(try await rig.jobs.jobs(limit: 10, caller: rig.buyer).map(\.id) == [job.id])
      #expect(try await rig.jobs.jobs(limit: 10, caller: rig.operatorID).map(\.id) == [job.id])
    }
  }

  @Test("suppliers and strangers submit nothing")
  func roles() async throws {
    try await withRig { (rig) async throws in
      await expect(throwsCode: .notAllowed) {
        try await rig.submit(.sample(), by: rig.nodes[0].id)
      }
      await expect(throwsCode: .keyNotAdmitted) {
        try await rig.submit(.sample(), by: .sample(1))
      }
    }
  }

  @Test("a job that can never fit the present nodes is refused with the nearest miss")
  func noPlacement() async throws {
    try await withRig { (rig) async throws in
      await expect(throwsCode: .noPlacement) { try await rig.submit(.sample(cpus: 100)) }
      let jobs = try await rig.jobs.jobs(limit: 10, caller: rig.operatorID)
      #expect(jobs.isEmpty)
    }
  }

  @Test("without any node a job waits, and runs once one joins")
  func noNodes() async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      try await rig.services.nodes.leave(caller: rig.nodes[0].id)
      let job = try await rig.submit(.sample(ranks: 1))
      try await eventually {
        try await rig.status(job.id).reason?.contains("none is alive") == true
      }
      try await rig.registerAll()
      try await rig.wait(for: job.id, .running)
    }
  }

  @Test("a job that does not fit now waits without blocking smaller ones behind it")
  func queue() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let first = try await rig.wait(for: rig.submit(.sample(ranks: 1, cpus: 3)).id, .running)
      let large = try await rig.submit(.sample(ranks: 1, cpus: 4))
      let small = try await rig.submit(.sample(ranks: 1, cpus: 1))
      let running = try await rig.wait(for: small.id, .running)
      try await eventually {
        try await rig.status(large.id).reason?.hasPrefix("waits for a placement") == true
      }
      try await rig.end(first, 0, .exited(status: 0))
      try await rig.end(running, 0, .exited(status: 0))
      try await rig.wait(for: large.id, .running)
    }
  }

  @Test("a spec out of bounds is refused", arguments: ["ranks", "name", "env", "timeout", "empty"])
  func bounds(fault: String) async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      var spec = JobSpec.sample(ranks: 1)
      switch fault {
      case "ranks": spec.gang.ranks = 5000
      case "name": spec.name = String(repeating: "x", count: 129)
      case "env": spec.environment = ["RANK": "1"]
      case "timeout": spec.timeoutSeconds = .nan
      default: spec.entrypoint = .command([])
      }
      await expect(throwsCode: .specInvalid) { try await rig.submit(spec) }
    }
  }

  @Test("a watcher is woken by a change, and by the end of its patience")
  func watch() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      try await rig.services.nodes.leave(caller: rig.nodes[0].id)
      let accepted = try await rig.submit(.sample(ranks: 1))
      try await eventually { try await rig.status(accepted.id).reason != nil }
      let job = try await rig.status(accepted.id)
      async let idle = rig.jobs.watch(
        job.id, after: job.revision, waitMilliseconds: 50, caller: rig.buyer)
      try await eventually { rig.time.sleeperCount == 1 }
      rig.time.advance(by: .milliseconds(51))
      #expect(try await idle == job)
      async let patient = rig.jobs.watch(
        job.id, after: job.revision, waitMilliseconds: 20_000, caller: rig.buyer)
      try await eventually { rig.time.sleeperCount == 1 }
      _ = try await rig.jobs.cancel(job.id, caller: rig.buyer)
      #expect(try await patient.state == .cancelled)
    }
  }

  @Test("a full disk refuses the submit and accepts nothing half")
  func diskFull() async throws {
    let rig = try await Rig()
    await rig.kill()
    let store = try await Store.open(in: rig.folder)
    try await store.write { db in
      let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
      try db.execute(sql: "PRAGMA max_page_count = \(pages)")
    }
    let big = JobSpec(
      name: "big", entrypoint: .command(["true", String(repeating: "x", count: 60_000)]),
      gang: .init(ranks: 1, resources: ResourceSet(milliCPUs: 1)))
    let record = JobRecord(
      id: JobID("job-aaaaaaaa")!, submissionID: "s", owner: rig.buyer, spec: big,
      workingFolder: nil, submittedAt: 1)
    await expect(throwsCode: .diskFull) { try await store.accept(record) }
    let kept = try await store.jobs(owners: nil, limit: 10)
    #expect(kept.isEmpty)
    try await store.close()
    try await rig.open()
    await rig.close()
  }
}
