import IorunContract
import IorunCore
import Synchronization
import Testing

@testable import IorunHead

@Suite("What one caller may take")
struct FairShareTests {
  @Test("one owner's jobs leave room for those of others, however they are submitted")
  func liveJobs() async throws {
    var options = HeadOptions()
    options.maximumLiveJobsOfOwner = 2
    try await withRig(cpus: [4], options: options) { (rig) async throws in
      let accepted = await withTaskGroup(of: JobStatus?.self) { group in
        for _ in 0..<8 { group.addTask { try? await rig.submit(.sample(ranks: 1)) } }
        return await group.reduce(into: [JobStatus]()) { jobs, job in
          if let job { jobs.append(job) }
        }
      }
      #expect(accepted.count == 2)
      await expect(throwsCode: .overloaded) { try await rig.submit(.sample(ranks: 1)) }
      try await rig.submit(.sample(ranks: 1), by: rig.otherBuyer)
      _ = try await rig.jobs.cancel(accepted[0].id, caller: rig.buyer)
      try await rig.wait(for: accepted[0].id, .cancelled)
      try await rig.submit(.sample(ranks: 1))
    }
  }

  @Test("beyond its share of waits a caller is answered at once, and others still wait")
  func waits() async throws {
    var options = HeadOptions()
    options.maximumWaits = 2
    try await withRig(cpus: [4], options: options) { (rig) async throws in
      try await rig.services.nodes.leave(caller: rig.nodes[0].id)
      let accepted = try await rig.submit(.sample(ranks: 1))
      try await eventually { try await rig.status(accepted.id).reason != nil }
      let job = try await rig.status(accepted.id)
      let answers = Atomic(0)
      let watch: @Sendable (PeerID) async -> Void = { caller in
        _ = try? await rig.jobs.watch(
          job.id, after: job.revision, waitMilliseconds: 20_000, caller: caller)
        answers.add(1, ordering: .relaxed)
      }
      let logs: @Sendable (PeerID) async -> Void = { caller in
        _ = try? await rig.jobs.logs(
          job.id, rank: nil, cursors: [], waitMilliseconds: 20_000, caller: caller)
        answers.add(1, ordering: .relaxed)
      }
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await watch(rig.buyer) }
        group.addTask { await logs(rig.buyer) }
        try? await eventually("they do not wait") { rig.time.sleeperCount == 2 }
        group.addTask { await watch(rig.buyer) }
        group.addTask { await logs(rig.buyer) }
        try? await eventually("they wait") { answers.load(ordering: .relaxed) == 2 }
        group.addTask { await watch(rig.operatorID) }
        try? await eventually("the other does not wait") { rig.time.sleeperCount == 3 }
        rig.time.advance(by: .seconds(21))
      }
      #expect(answers.load(ordering: .relaxed) == 5)
      // Waits that ended make room again.
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await watch(rig.buyer) }
        try? await eventually("it does not wait") { rig.time.sleeperCount == 1 }
        rig.time.advance(by: .seconds(21))
      }
    }
  }

  @Test("a name may not hide kilobytes behind few characters")
  func longName() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      var spec = JobSpec.sample(ranks: 1)
      spec.name = "e" + String(repeating: "\u{301}", count: 1000)
      await expect(throwsCode: .specInvalid) { try await rig.submit(spec) }
      spec.name = "fine"
      spec.gang.gpuModel = "e" + String(repeating: "\u{301}", count: 1000)
      await expect(throwsCode: .specInvalid) { try await rig.submit(spec) }
    }
  }
}
