import IorunContract
import IorunCore
import Testing

@testable import IorunHead

/// What is found out about nodes, and how soon.
@Suite("States of nodes")
struct NodeStateTests {
  /// Lets time pass in the head's steps while all nodes but `silent` send heartbeats.
  private func pass(_ time: Duration, _ rig: Rig, silent: Set<Int> = [0]) async throws {
    for step in 0..<Int(time / .milliseconds(250)) {
      rig.time.advance(by: .milliseconds(250))
      if step % 2 == 1 {
        for (index, node) in rig.nodes.enumerated() where !silent.contains(index) {
          try await node.heartbeat()
        }
      }
      await rig.services.tick()
    }
  }

  private func node(_ rig: Rig, _ index: Int = 0) async throws -> NodeStatus {
    try #require(
      try await rig.services.network.nodes(caller: rig.buyer).first { $0.id == rig.nodes[index].id }
    )
  }

  @Test("a killed agent is found dead in less than 3 s, a vanished host out of reach as soon")
  func soon() async throws {
    try await withRig { (rig) async throws in
      try await pass(.seconds(30), rig, silent: [])
      await rig.services.connection(of: rig.nodes[0].id, isUp: false, wasClosed: true)
      #expect(try await node(rig).state == .suspect)
      try await pass(.milliseconds(2750), rig, silent: [0, 1])
      let (killed, vanished) = (try await node(rig, 0), try await node(rig, 1))
      #expect(killed.state == .dead && killed.reason?.contains("its agent has ended") == true)
      #expect(vanished.state == .unreachable)
      #expect(vanished.reason?.contains("nobody reaches it") == true)
      #expect(try await node(rig, 2).state == .alive)
    }
  }

  @Test("a partition of 10 s is no death: its ranks run on, once, and it needs no registration")
  func partition() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(
        for: rig.submit(.sample(ranks: 3, cpus: 4, retries: 1)).id, .running)
      for rank in 0..<3 { try await rig.runs(job, rank) }
      try await pass(.seconds(10), rig, silent: [0])
      #expect(try await node(rig).state == .unreachable)
      // While it is out of reach it gets no work, and keeps what it has.
      #expect(try await rig.status(job.id).state == .running)
      // The link that it had given up is heard of at the end of the partition, as it dials again.
      await rig.services.connection(of: rig.nodes[0].id, isUp: false, wasClosed: true)
      try await pass(.seconds(7), rig, silent: [0])
      await rig.services.connection(of: rig.nodes[0].id, isUp: true, wasClosed: false)
      let orders = try await rig.nodes[0].heartbeat()
      #expect(orders?.registerAgain == false && orders?.stop == [])
      #expect(try await node(rig).state == .alive)
      let after = try await rig.status(job.id)
      #expect(after.state == .running && after.attempt == 1)
      for node in rig.nodes { #expect(await node.prepareCalls == 1) }
    }
  }

  @Test("a node that another one still reaches is unreachable with that reason, until its fence")
  func witness() async throws {
    try await withRig { (rig) async throws in
      await rig.nodes[1].set(reachesHosts: true)
      for second in 1...38 {
        try await pass(.seconds(1), rig, silent: [0])
        // The answers come beside the ticks, which take no time here: without this, the clock may run
        // past the time for which an answer counts before the next one is in.
        try await eventually("a question is not answered") { rig.services.probe.tasks.isEmpty }
        if second > 4 {
          let seen = try await node(rig)
          try #require(seen.state == .unreachable, "after \(second) s: \(seen)")
          try #require(seen.reason?.contains("node-2 still reaches its host") == true)
        }
      }
      try await pass(.seconds(3), rig, silent: [0])
      #expect(try await node(rig).state == .dead)
    }
  }

  @Test("word that a silent node's host is reached is told before the next tick")
  func wordBetweenTicks() async throws {
    try await withRig { (rig) async throws in
      let silent = rig.nodes[0]
      try await pass(.seconds(5), rig, silent: [0])
      #expect(try await node(rig).reason?.contains("nobody reaches it") == true)
      await rig.services.directory.reached(silent.id, by: "node-2")
      let told = try await node(rig)
      #expect(told.state == .unreachable)
      #expect(told.reason?.contains("node-2 still reaches its host") == true)
      // It speaks again, as regularly as ever: an answer that its own word overtook is no proof for
      // the next silence.
      try await pass(.seconds(30), rig, silent: [])
      await rig.services.directory.reached(silent.id, by: "node-2")
      try await pass(.seconds(5), rig, silent: [0])
      #expect(try await node(rig).reason?.contains("nobody reaches it") == true)
      // Nor does one wake the dead.
      try await pass(.seconds(16), rig, silent: [0])
      #expect(try await node(rig).state == .dead)
      await rig.services.directory.reached(silent.id, by: "node-2")
      #expect(try await node(rig).state == .dead)
    }
  }

  @Test("a head that was stopped, or whose clock jumped, buries nobody")
  func stoppedHead() async throws {
    try await withRig { (rig) async throws in
      try await pass(.seconds(5), rig, silent: [])
      rig.time.advance(by: .seconds(3600))
      // What the kernel had queued meanwhile comes first: nodes that had given the link up.
      for node in rig.nodes {
        await rig.services.connection(of: node.id, isUp: false, wasClosed: true)
      }
      await rig.services.tick()
      try await pass(.seconds(2), rig, silent: [0, 1, 2])
      for index in 0..<3 { #expect(try await node(rig, index).state != .dead) }
      for node in rig.nodes { #expect(try await node.heartbeat()?.registerAgain == false) }
      for index in 0..<3 { #expect(try await node(rig, index).state == .alive) }
    }
  }
}
