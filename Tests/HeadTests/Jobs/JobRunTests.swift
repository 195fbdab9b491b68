import Foundation
import IorunContent
import IorunContract
import IorunCore
import IorunCrypto
import Testing

@testable import IorunHead

@Suite("A job from submit to its end")
struct JobRunTests {
  @Test("a gang is prepared, started together and succeeds with its outputs")
  func success() async throws {
    try await withRig { (rig) async throws in
      let accepted = try await rig.submit(.sample(ranks: 3))
      #expect(accepted.state == .queued)
      let job = try await rig.wait(for: accepted.id, .running)
      #expect(Set(job.ranks.map(\.node)).count == 3)
      for rank in 0..<3 { try await rig.runs(job, rank) }
      let gang = try #require(await rig.node(of: job, 1).gang(of: rig.lease(job, 1)))
      #expect(gang.masterPort == 2000 && gang.members.count == 3 && gang.nodeCount == 3)
      let list = OutputList(
        count: 2, content: Blob(size: Bytes(9), chunks: [SHA256.digest(of: [1])]))
      for rank in [0, 2] { try await rig.end(job, rank, .exited(status: 0), outputs: list) }
      try await rig.end(job, 1, .exited(status: 0))
      let end = try await rig.wait(for: job.id, .succeeded)
      #expect(end.exitStatus == 0 && end.endedAt != nil)
      let kept = [RankOutputs(rank: 0, list: list), RankOutputs(rank: 2, list: list)]
      #expect(try await rig.jobs.outputs(job.id, after: -1, caller: rig.buyer) == kept)
      #expect(try await rig.jobs.outputs(job.id, after: 0, caller: rig.buyer) == [kept[1]])
      #expect(try await rig.jobs.outputs(job.id, after: 2, caller: rig.buyer).isEmpty)
      for node in rig.nodes { try await eventually { await node.leases.isEmpty } }
    }
  }

  @Test("a rank whose list of outputs breaks the rules did not succeed")
  func wrongOutputs() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      let list = OutputList(count: 1, content: Blob(size: .gibi(1), chunks: []))
      try await rig.end(job, 0, .exited(status: 0), outputs: list)
      let end = try await rig.wait(for: job.id, .failed)
      #expect(end.exitStatus == 74 && end.reason?.contains("the list of its outputs") == true)
    }
  }

  @Test("no rank is started while one is still being prepared")
  func allOrNothing() async throws {
    try await withRig { (rig) async throws in
      await rig.nodes[2].set(holdsPreparation: true)
      let job = try await rig.submit(.sample(ranks: 3))
      for node in rig.nodes { try await eventually { await node.prepareCalls == 1 } }
      try await eventually {
        try await rig.status(job.id).ranks.count { $0.state == .prepared } == 2
      }
      for node in rig.nodes { #expect(await node.running.isEmpty) }
      await rig.nodes[2].set(holdsPreparation: false)
      try await rig.wait(for: job.id, .running)
    }
  }

  @Test("the first failing rank stops the others and its status and last words are handed on")
  func failure() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 3)).id, .running)
      for rank in 0..<3 { try await rig.runs(job, rank) }
      let usage = RankUsage(
        peakMemory: .mebi(128), outOfMemoryKills: 2, refusedProcesses: 0,
        throttledMilliseconds: 250, limitsHit: ["cpu", "memory"])
      try await rig.end(
        job, 1, .exited(status: 3), lastLines: ["ValueError: bad", ""], usage: usage)
      let end = try await rig.wait(for: job.id, .failed)
      #expect(end.ranks[1].usage == usage && end.ranks[0].usage == nil)
      #expect(end.exitStatus == 3)
      #expect(
        end.reason == "rank 1 on \(job.ranks[1].nodeName) exited with status 3: ValueError: bad")
      #expect(end.ranks[0].cause == .gangStopped && end.ranks[2].cause == .gangStopped)
    }
  }

  @Test("a rank that a signal ends gives 128 and the signal as exit status")
  func signal() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      try await rig.end(job, 0, .signalled(signal: 9))
      #expect(try await rig.wait(for: job.id, .failed).exitStatus == 137)
    }
  }

  @Test("a failed attempt is tried again as often as the spec allows")
  func retry() async throws {
    try await withRig { (rig) async throws in
      let accepted = try await rig.submit(.sample(ranks: 1, retries: 1))
      let first = try await rig.wait(for: accepted.id, .running, attempt: 1)
      try await rig.end(first, 0, .exited(status: 1))
      let second = try await rig.wait(for: accepted.id, .running, attempt: 2)
      try await rig.end(second, 0, .exited(status: 2))
      #expect(try await rig.wait(for: accepted.id, .failed).exitStatus == 2)
    }
  }

  @Test("a job that is cancelled while it runs stops its ranks and never changes again")
  func cancel() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 2, retries: 3)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      _ = try await rig.jobs.cancel(job.id, caller: rig.buyer)
      let end = try await rig.wait(for: job.id, .cancelled)
      #expect(end.ranks.allSatisfy { $0.cause == .cancelled })
      let again = try await rig.jobs.cancel(job.id, caller: rig.buyer)
      #expect(again == end)
      for node in rig.nodes { try await eventually { await node.leases.isEmpty } }
    }
  }

  @Test("a job that is cancelled while a node prepares ends once the node has let go")
  func cancelWhilePreparing() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      await rig.nodes[0].set(holdsPreparation: true)
      let job = try await rig.submit(.sample(ranks: 1))
      try await eventually { await rig.nodes[0].prepareCalls == 1 }
      let stopping = try await rig.jobs.cancel(job.id, caller: rig.buyer)
      #expect(stopping.state == .stopping)
      await rig.nodes[0].set(holdsPreparation: false)
      try await rig.wait(for: job.id, .cancelled)
      try await eventually { await rig.nodes[0].leases.isEmpty }
    }
  }

  @Test("a node that refuses a grant fails the job with the reason")
  func prepareFails() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      await rig.nodes[0].set(prepareError: IorunError(.fileMissing, "chunk abc is not here"))
      let end = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .failed)
      #expect(end.reason == "rank 0 on node-1 could not be started: chunk abc is not here")
    }
  }

  @Test("a call that does not get through is repeated until it does")
  func unreachable() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      await rig.nodes[0].set(unreachable: true)
      let job = try await rig.submit(.sample(ranks: 1))
      try await rig.wait(for: job.id, .preparing)
      await rig.nodes[0].set(unreachable: false)
      try await rig.wait(for: job.id, .running, advancing: .milliseconds(100))
    }
  }

  @Test("a job that runs longer than its timeout is stopped by the head where the node does not")
  func timeout() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1, timeout: 60)).id, .running)
      try await rig.runs(job, 0)
      for _ in 0..<70 {
        rig.time.advance(by: .seconds(1))
        try await rig.nodes[0].heartbeat()
        await rig.services.tick()
      }
      let end = try await rig.wait(for: job.id, .failed)
      #expect(end.reason == "it ran longer than its timeout of 60 s")
      #expect(end.ranks[0].cause == .timedOut)
    }
  }
}
