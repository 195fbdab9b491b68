import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("Who is placed first")
struct QueueOrderTests {
  @Test("the greater priority goes first, whoever came first")
  func priority() async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      let first = try await rig.wait(for: rig.submit(.sample(ranks: 1, cpus: 2)).id, .running)
      let usual = try await rig.submit(.sample(ranks: 1, cpus: 2))
      var spec = JobSpec.sample(ranks: 1, cpus: 2)
      spec.priority = 6
      let urgent = try await rig.submit(spec)
      try await rig.end(first, 0, .exited(status: 0))
      try await rig.wait(for: urgent.id, .running)
      #expect(try await rig.status(usual.id).state == .queued)
    }
  }

  @Test("among equals the owner who has had less goes first")
  func fairness() async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      let first = try await rig.wait(for: rig.submit(.sample(ranks: 1, cpus: 2)).id, .running)
      let second = try await rig.submit(.sample(ranks: 1, cpus: 2))
      let others = try await rig.submit(.sample(ranks: 1, cpus: 2), by: rig.otherBuyer)
      // Usage is what was held over time.
      rig.time.advance(by: .milliseconds(500))
      for node in rig.nodes { try await node.heartbeat() }
      await rig.services.tick()
      try await rig.end(first, 0, .exited(status: 0))
      try await rig.wait(for: others.id, .running)
      #expect(try await rig.status(second.id).state == .queued)
    }
  }

  @Test("what becomes free is held for a gang that has waited, and smaller jobs do not take it")
  func hold() async throws {
    var options = HeadOptions()
    options.holdAfter = .seconds(2)
    try await withRig(cpus: [2, 2, 1], options: options) { (rig) async throws in
      let small = JobSpec.sample(ranks: 1, cpus: 2)
      let one = try await rig.wait(for: rig.submit(small).id, .running)
      let two = try await rig.wait(for: rig.submit(small).id, .running)
      let large = try await rig.submit(.sample(ranks: 2, cpus: 2))
      let three = try await rig.submit(small)
      for _ in 0..<6 {
        rig.time.advance(by: .milliseconds(500))
        for node in rig.nodes { try await node.heartbeat() }
        await rig.services.tick()
      }
      try await rig.end(one, 0, .exited(status: 0))
      try await rig.wait(for: one.id, .succeeded)
      // It is looked at after `three`: once it runs, `three` was passed over.
      let probe = try await rig.submit(.sample(ranks: 1, cpus: 1))
      try await rig.wait(for: probe.id, .running)
      #expect(try await rig.status(three.id).state == .queued)
      #expect(try await rig.status(large.id).state == .queued)
      try await rig.end(two, 0, .exited(status: 0))
      try await rig.wait(for: large.id, .running)
    }
  }

  @Test("on what is held runs who is bound to end before the gang can start, and nobody else")
  func backfill() async throws {
    var options = HeadOptions()
    options.holdAfter = .seconds(2)
    try await withRig(cpus: [2, 2], options: options) { (rig) async throws in
      func small(_ limit: Double?) -> JobSpec {
        var spec = JobSpec.sample(ranks: 1, cpus: 2)
        spec.timeoutSeconds = limit
        return spec
      }
      let one = try await rig.wait(for: rig.submit(small(600)).id, .running)
      let two = try await rig.wait(for: rig.submit(small(600)).id, .running)
      let large = try await rig.submit(.sample(ranks: 2, cpus: 2))
      let endless = try await rig.submit(small(nil))
      let long = try await rig.submit(small(3600))
      let short = try await rig.submit(small(60))
      for _ in 0..<6 {
        rig.time.advance(by: .milliseconds(500))
        for node in rig.nodes { try await node.heartbeat() }
        await rig.services.tick()
      }
      try await rig.end(one, 0, .exited(status: 0))
      let running = try await rig.wait(for: short.id, .running)
      for waiting in [large, endless, long] {
        #expect(try await rig.status(waiting.id).state == .queued)
      }
      try await rig.end(running, 0, .exited(status: 0))
      try await rig.end(two, 0, .exited(status: 0))
      try await rig.wait(for: large.id, .running)
      #expect(try await rig.status(endless.id).state == .queued)
      #expect(try await rig.status(long.id).state == .queued)
    }
  }

  /// Time passes, and nodes that are there tell so.
  private static func pass(_ rig: Rig, _ time: Duration) async throws {
    rig.time.advance(by: time)
    for node in rig.nodes { try await node.heartbeat() }
    await rig.services.tick()
  }

  @Test(
    "small jobs that keep coming cannot starve a large one: it runs when what ran before has ended")
  func starvation() async throws {
    var options = HeadOptions()
    options.holdAfter = .seconds(60)
    // For so long more, those pass that are expected to end in time: each ends a little late.
    options.expectFor = .seconds(60)
    try await withRig(cpus: [2, 2], options: options) { (rig) async throws in
      let small = JobSpec.sample(ranks: 1, cpus: 2)
      var running: [JobStatus] = []
      for _ in 0..<2 { running.append(try await rig.wait(for: rig.submit(small).id, .running)) }
      let large = try await rig.submit(.sample(ranks: 2, cpus: 2))
      // They end in the order in which they came: all were submitted at one instant.
      var order = running.map(\.id)
      for _ in 0..<14 { order.append(try await rig.submit(small, by: rig.otherBuyer).id) }
      var passed = 0
      // One ends every 20 s, so that never two places are free at once unless they are held.
      for _ in 0..<16 {
        for _ in 0..<4 { try await Self.pass(rig, .seconds(5)) }
        if try await rig.status(large.id).state == .running { break }
        let list = try await rig.jobs.jobs(limit: 100, caller: rig.operatorID)
        let runs = list.filter { $0.state == .running }
        guard let next = order.lazy.compactMap({ id in runs.first { $0.id == id } }).first else {
          continue
        }
        try await rig.end(next, 0, .exited(status: 0))
        passed += 1
        try await rig.wait(for: next.id, .succeeded)
      }
      try await rig.wait(for: large.id, .running, advancing: .milliseconds(100))
      // One ends every 20 s: six in these two minutes, then what ran before it, and no more.
      #expect(passed <= 10, "\(passed) of 16")
    }
  }

  @Test(
    "jobs without a time limit are expected to end as others did, for a while, also by a head that has just started",
    arguments: [false, true])
  func expected(restarts: Bool) async throws {
    var options = HeadOptions()
    options.holdAfter = .seconds(2)
    options.expectFor = .seconds(600)
    try await withRig(cpus: [2, 2], options: options) { (rig) async throws in
      let small = JobSpec.sample(ranks: 1, cpus: 2)
      // Half a minute each.
      for _ in 0..<10 {
        var pair: [JobStatus] = []
        for _ in 0..<2 { pair.append(try await rig.submit(small)) }
        for job in pair {
          _ = try await rig.wait(for: job.id, .running, advancing: .milliseconds(10))
        }
        for _ in 0..<8 { try await Self.pass(rig, .seconds(4)) }
        for job in pair {
          let status = try await rig.status(job.id)
          try await rig.end(status, 0, .exited(status: 0))
          try await rig.wait(for: job.id, .succeeded)
        }
      }
      let one = try await rig.wait(for: rig.submit(small).id, .running)
      let two = try await rig.wait(for: rig.submit(small).id, .running)
      if restarts {
        await rig.kill()
        try await rig.open()
        try await rig.registerAll()
      }
      let large = try await rig.submit(.sample(ranks: 2, cpus: 2))
      var limited = small
      limited.timeoutSeconds = 5
      let short = try await rig.submit(limited)
      limited.timeoutSeconds = 500
      let long = try await rig.submit(limited)
      for _ in 0..<2 { try await Self.pass(rig, .seconds(2)) }
      try await rig.end(one, 0, .exited(status: 0))
      let ran = try await rig.wait(for: short.id, .running, advancing: .milliseconds(10))
      for waiting in [large, long] { #expect(try await rig.status(waiting.id).state == .queued) }
      try await rig.end(ran, 0, .exited(status: 0))
      try await rig.wait(for: short.id, .succeeded)
      // Once it has waited for long, only what is bound counts.
      for _ in 0..<160 { try await Self.pass(rig, .seconds(4)) }
      let late = try await rig.submit(ran.spec)
      for _ in 0..<3 { try await Self.pass(rig, .seconds(1)) }
      #expect(try await rig.status(late.id).state == .queued)
      try await rig.end(two, 0, .exited(status: 0))
      try await rig.wait(for: large.id, .running, advancing: .milliseconds(10))
    }
  }

  @Test("a priority that there is not is refused", arguments: [-1, 11, Int.max])
  func refused(priority: Int) async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      var spec = JobSpec.sample(ranks: 1)
      spec.priority = priority
      await expect(throwsCode: .specInvalid) { try await rig.submit(spec) }
    }
  }
}
