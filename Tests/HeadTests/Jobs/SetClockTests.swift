import IorunContract
import IorunCore
import Testing

@testable import IorunHead

/// The head's wall clock is set while jobs wait and run.
@Suite("A wall clock that is set")
struct SetClockTests {
  private static let hour = 3600.0

  /// Time passes, and nodes that are there tell so.
  private static func pass(_ rig: Rig, _ time: Duration) async throws {
    rig.time.advance(by: time)
    for node in rig.nodes { try await node.heartbeat() }
    await rig.services.tick()
  }

  @Test("breaks no committed hour, and makes none longer", arguments: [hour, -hour])
  func committedHour(ahead: Double) async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      var spec = JobSpec.sample(ranks: 1, cpus: 2)
      spec.priority = 3
      spec.isPreemptible = true
      let low = try await rig.wait(for: rig.submit(spec).id, .running)
      try await rig.runs(low, 0)
      rig.setClock(aheadBy: ahead)
      spec.priority = 8
      let urgent = try await rig.submit(spec, by: rig.otherBuyer)
      for _ in 0..<59 { try await Self.pass(rig, .seconds(60)) }
      #expect(try await rig.status(low.id).state == .running)
      #expect(try await rig.status(urgent.id).state == .queued)
      for _ in 0..<2 { try await Self.pass(rig, .seconds(60)) }
      try await rig.wait(for: urgent.id, .running, advancing: .milliseconds(500))
    }
  }

  @Test("ends no job's time, and makes none longer", arguments: [hour, -hour])
  func timeout(ahead: Double) async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1, timeout: 60)).id, .running)
      try await rig.runs(job, 0)
      rig.setClock(aheadBy: ahead)
      for _ in 0..<60 { try await Self.pass(rig, .seconds(1)) }
      #expect(try await rig.status(job.id).state == .running)
      for _ in 0..<10 { try await Self.pass(rig, .seconds(1)) }
      try await rig.wait(for: job.id, .failed)
    }
  }

  @Test("ends no job's time under a head that starts with it, and a limit still ends the job")
  func restart() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1, timeout: 60)).id, .running)
      try await rig.runs(job, 0)
      await rig.kill()
      rig.setClock(aheadBy: Self.hour)
      try await rig.open()
      try await rig.registerAll()
      for _ in 0..<60 { try await Self.pass(rig, .seconds(1)) }
      #expect(try await rig.status(job.id).state == .running)
      for _ in 0..<10 { try await Self.pass(rig, .seconds(1)) }
      try await rig.wait(for: job.id, .failed)
    }
  }

  @Test("leaves room that is held to those who are bound to end in time", arguments: [hour, -hour])
  func backfill(ahead: Double) async throws {
    var options = HeadOptions()
    options.holdAfter = .seconds(2)
    try await withRig(cpus: [2, 2], options: options) { (rig) async throws in
      func small(_ limit: Double) -> JobSpec {
        var spec = JobSpec.sample(ranks: 1, cpus: 2)
        spec.timeoutSeconds = limit
        return spec
      }
      let one = try await rig.wait(for: rig.submit(small(600)).id, .running)
      _ = try await rig.wait(for: rig.submit(small(600)).id, .running)
      let large = try await rig.submit(.sample(ranks: 2, cpus: 2))
      rig.setClock(aheadBy: ahead)
      // Half an hour is longer than what runs can take, and shorter than the hour.
      let long = try await rig.submit(small(1800))
      let short = try await rig.submit(small(60))
      for _ in 0..<6 { try await Self.pass(rig, .milliseconds(500)) }
      try await rig.end(one, 0, .exited(status: 0))
      try await rig.wait(for: short.id, .running)
      for waiting in [large, long] {
        #expect(try await rig.status(waiting.id).state == .queued)
      }
    }
  }

  @Test("lets nobody who came later go first")
  func order() async throws {
    try await withRig(cpus: [2]) { (rig) async throws in
      let spec = JobSpec.sample(ranks: 1, cpus: 2)
      let running = try await rig.wait(for: rig.submit(spec).id, .running)
      let first = try await rig.submit(spec)
      try await Self.pass(rig, .seconds(1))
      rig.setClock(aheadBy: -Self.hour)
      let second = try await rig.submit(spec)
      try await rig.end(running, 0, .exited(status: 0))
      try await rig.wait(for: first.id, .running)
      #expect(try await rig.status(second.id).state == .queued)
    }
  }
}
