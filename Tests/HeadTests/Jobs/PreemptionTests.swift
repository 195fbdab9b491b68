import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("Opportunistic tails")
struct PreemptionTests {
  private static func spec(
    cpus: Int = 2, ranks: Int = 1, priority: Int? = nil, preemptible: Bool = false
  ) -> JobSpec {
    var spec = JobSpec.sample(ranks: ranks, cpus: cpus)
    spec.priority = priority
    spec.isPreemptible = preemptible ? true : nil
    return spec
  }

  private static var options: HeadOptions {
    var options = HeadOptions()
    options.committedFor = .seconds(3)
    return options
  }

  /// Time goes by, and everybody is heard from.
  private static func pass(_ rig: Rig, _ steps: Int) async throws {
    for _ in 0..<steps {
      rig.time.advance(by: .milliseconds(500))
      for node in rig.nodes { try await node.heartbeat() }
      await rig.services.tick()
    }
  }

  @Test("a committed hour is never taken back; after it the tail is, its owner hears why")
  func committedHour() async throws {
    try await withRig(cpus: [2], options: Self.options) { (rig) async throws in
      let low = try await rig.wait(
        for: rig.submit(Self.spec(priority: 3, preemptible: true)).id, .running)
      try await rig.runs(low, 0)
      let urgent = try await rig.submit(Self.spec(priority: 8), by: rig.otherBuyer)
      try await Self.pass(rig, 4)
      #expect(try await rig.status(low.id).state == .running)
      #expect(try await rig.status(urgent.id).state == .queued)
      try await rig.wait(for: urgent.id, .running, advancing: .milliseconds(500))
      let stopped = try await rig.status(low.id)
      #expect(stopped.state == .queued)
      #expect(stopped.reason?.contains("a job of priority 8 needs its places") == true)
      // It used up no retry, of which it has none.
      try await rig.end(rig.status(urgent.id), 0, .exited(status: 0))
      try await rig.wait(for: low.id, .running, attempt: 2, advancing: .milliseconds(500))
    }
  }

  @Test("the committed hour is an hour: what is preemptible runs on for it, and not for longer")
  func wholeHour() async throws {
    #expect(HeadOptions().committedFor == .seconds(3600))
    try await withRig(cpus: [2]) { (rig) async throws in
      let low = try await rig.wait(
        for: rig.submit(Self.spec(priority: 3, preemptible: true)).id, .running)
      try await rig.runs(low, 0)
      let urgent = try await rig.submit(Self.spec(priority: 8), by: rig.otherBuyer)
      /// A minute goes by, and everybody is heard from.
      func pass(minutes: Int) async throws {
        for _ in 0..<minutes {
          rig.time.advance(by: .seconds(60))
          for node in rig.nodes { try await node.heartbeat() }
          await rig.services.tick()
        }
      }
      try await pass(minutes: 59)
      #expect(try await rig.status(low.id).state == .running)
      #expect(try await rig.status(urgent.id).state == .queued)
      try await pass(minutes: 2)
      try await rig.wait(for: urgent.id, .running, advancing: .milliseconds(500))
      let stopped = try await rig.status(low.id)
      #expect(stopped.state == .queued)
      #expect(stopped.reason?.contains("stopped after 6") == true, "\(stopped)")
    }
  }

  @Test("what is not preemptible, and what is as urgent, runs on")
  func notPreempted() async throws {
    try await withRig(cpus: [2, 2], options: Self.options) { (rig) async throws in
      let kept = try await rig.wait(for: rig.submit(Self.spec(priority: 0)).id, .running)
      let equal = try await rig.wait(
        for: rig.submit(Self.spec(priority: 8, preemptible: true)).id, .running)
      let urgent = try await rig.submit(Self.spec(priority: 8), by: rig.otherBuyer)
      try await Self.pass(rig, 12)
      #expect(try await rig.status(kept.id).state == .running)
      #expect(try await rig.status(equal.id).state == .running)
      #expect(try await rig.status(urgent.id).state == .queued)
    }
  }

  @Test("the cheapest gang that will do is stopped, and no other")
  func cheapest() async throws {
    try await withRig(cpus: [4, 2], options: Self.options) { (rig) async throws in
      let large = try await rig.wait(
        for: rig.submit(Self.spec(cpus: 4, priority: 3, preemptible: true)).id, .running)
      let small = try await rig.wait(
        for: rig.submit(Self.spec(cpus: 2, priority: 3, preemptible: true)).id, .running)
      try await Self.pass(rig, 8)
      let urgent = try await rig.submit(Self.spec(cpus: 2, priority: 9))
      try await rig.wait(for: urgent.id, .running, advancing: .milliseconds(500))
      #expect(try await rig.status(large.id).state == .running)
      #expect(try await rig.status(small.id).state == .queued)
    }
  }

  @Test("a cohort lends what it does not use, and its owner takes it back after the committed hour")
  func reclaim() async throws {
    try await withRig(cpus: [2, 2], options: Self.options) { (rig) async throws in
      let (one, other) = (rig.buyer.description, rig.otherBuyer.description)
      for tenant in [one, other] {
        _ = try await rig.services.network.setQuota(
          TenantQuota(tenant: tenant, cohort: "team", nominal: ResourceSet(milliCPUs: 2000)),
          caller: rig.operatorID)
      }
      let own = try await rig.wait(for: rig.submit(Self.spec()).id, .running)
      let borrowed = try await rig.wait(for: rig.submit(Self.spec()).id, .running)
      let theirs = try await rig.submit(Self.spec(), by: rig.otherBuyer)
      try await Self.pass(rig, 3)
      #expect(try await rig.status(borrowed.id).state == .running)
      try await rig.wait(for: theirs.id, .running, advancing: .milliseconds(500))
      #expect(try await rig.status(own.id).state == .running)
      #expect(try await rig.status(borrowed.id).state == .queued)
      let tenants = try await rig.services.network.tenants(caller: rig.operatorID)
      #expect(tenants.map(\.held.milliCPUs) == [2000, 2000])
      // A second gang beyond both quotas waits, and says for what.
      try await eventually("it does not say that it waits for its quota") {
        try await rig.status(borrowed.id).reason?.contains("quota") == true
      }
    }
  }

  @Test("quotas and what tenants have had outlive the head")
  func restart() async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      _ = try await rig.services.network.setQuota(
        TenantQuota(tenant: "t", nominal: ResourceSet(gpus: 4), weight: 3), caller: rig.operatorID)
      let job = try await rig.wait(for: rig.submit(Self.spec()).id, .running)
      try await Self.pass(rig, 20)
      let before = try await rig.services.network.tenants(caller: rig.operatorID)
      try await rig.end(job, 0, .exited(status: 0))
      try await rig.wait(for: job.id, .succeeded)
      try await Self.pass(rig, 1)
      await rig.kill()
      try await rig.open()
      try await rig.registerAll()
      // Who had something goes second.
      let late = try await rig.submit(Self.spec(), by: rig.otherBuyer)
      try await rig.wait(for: late.id, .running)
      let mine = try await rig.submit(Self.spec())
      let theirs = try await rig.submit(Self.spec(), by: rig.otherBuyer)
      _ = (mine, theirs)
      let after = try await rig.services.network.tenants(caller: rig.operatorID)
      #expect(after.first { $0.tenant == "t" }?.quota?.weight == 3)
      #expect(before.contains { $0.tenant == rig.buyer.description && $0.share > 0 })
      let usage = try await rig.services.store.usage()
      #expect(usage[rig.buyer.description]?.average.contains { $0 > 0 } == true)
      await expect(throwsCode: .notFound) {
        try await rig.services.network.removeQuota(of: "nobody", caller: rig.operatorID)
      }
      for wrong in [
        TenantQuota(tenant: ""), TenantQuota(tenant: "t", weight: .nan),
        TenantQuota(tenant: "t", nominal: ResourceSet(milliCPUs: -1)),
      ] {
        await expect(throwsCode: .specInvalid) {
          _ = try await rig.services.network.setQuota(wrong, caller: rig.operatorID)
        }
      }
    }
  }

  @Test("a gang that was not placed by its time fails and says so")
  func startBy() async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      let first = try await rig.wait(for: rig.submit(Self.spec()).id, .running)
      var spec = Self.spec()
      spec.startBySeconds = 2
      let late = try await rig.submit(spec)
      try await rig.wait(for: late.id, .failed, advancing: .milliseconds(500))
      #expect(try await rig.status(late.id).reason?.contains("start_by of 2 s") == true)
      #expect(try await rig.status(first.id).state == .running)
      spec.startBySeconds = -1
      await expect(throwsCode: .specInvalid) { try await rig.submit(spec) }
    }
  }
}
