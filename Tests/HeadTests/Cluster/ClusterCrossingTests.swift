import IorunContract
import IorunCore
import IorunWire
import Testing

@testable import IorunHead

/// Words that cross on their way between the head and a node.
@Suite("Words that cross between the head and a node")
struct ClusterCrossingTests {
  /// The node's word that there is room again is heard before its refusal, and nothing changes there
  /// any more that it would tell of.
  @Test("a refusal that an update has overtaken is not held against the node")
  func refusalAndUpdate() async throws {
    try await withRig(cpus: [4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let bridge = rig.bridge(0)
      await bridge.set(refusal: IorunError(.overloaded, "no room"))
      await bridge.set(holdsGrants: true)
      let lease = Task { try await rig.lease(job, RuntimeDemand(resources: .cpus(1))) }
      try await eventually("it was not asked") { await bridge.calls.contains("grant") }
      await bridge.set(refusal: nil)
      try await bridge.update(rig.cluster)
      await bridge.set(holdsGrants: false)
      #expect(try await lease.value.node == bridge.node)
      #expect(await bridge.calls.filter { $0 == "grant" }.count == 2)
    }
  }

  @Test("an older word of what is free changes nothing after a newer one")
  func updates() async throws {
    try await withRig(cpus: [4]) { rig in
      try await rig.registerBridges()
      let caller = rig.nodes[0].id
      try await rig.cluster.update(
        available: .cpus(3), waiting: 0, number: 2, caller: caller)
      try await rig.cluster.update(
        available: .cpus(1), waiting: 0, number: 1, caller: caller)
      #expect(try await rig.cluster.clusterNodes(caller: caller).first?.available == .cpus(3))
      try await rig.cluster.update(
        available: .cpus(2), waiting: 0, number: 3, caller: caller)
      #expect(try await rig.cluster.clusterNodes(caller: caller).first?.available == .cpus(2))
    }
  }

  @Test("the creator hears where its actor will be before the node there has answered")
  func placedAtOnce() async throws {
    try await withRig(cpus: [1, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let far = rig.bridge(1)
      await far.set(holdsStarts: true)
      let spec = RuntimeActorSpec.sample(
        1, job, strategy: .node(far.node, soft: false))
      let status = try await rig.create(spec).status
      #expect(status.state == .placed)
      #expect(status.node == far.node)
      #expect(status.worker == WorkerID(high: 7, low: 1))
      #expect(status.incarnation == 1)
      await far.set(holdsStarts: false)
      try await eventually { await far.running[spec.actor] != nil }
      let alive = try #require(await far.status(spec.actor, .alive))
      try await rig.cluster.actorChanged(alive, caller: far.id)
      try await eventually { try await rig.status(spec.actor).state == .alive }
    }
  }

  @Test("a node that does not take the actor after all was no restart")
  func refusedAfterAll() async throws {
    try await withRig(cpus: [1, 4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      for bridge in [rig.bridge(1), rig.bridge(2)] { await bridge.set(holdsStarts: true) }
      // Two processors: more than the creator's node has.
      let spec = RuntimeActorSpec.sample(1, job, cpus: 2)
      let first = try await rig.create(spec).status
      #expect(first.state == .placed)
      let far = try #require([rig.bridge(1), rig.bridge(2)].first { $0.node == first.node })
      await far.set(refusal: IorunError(.overloaded, "no room"))
      for bridge in [rig.bridge(1), rig.bridge(2)] { await bridge.set(holdsStarts: false) }
      // It is not asked again before it says that there is room: another node has it.
      try await eventually { try await rig.status(spec.actor).incarnation == 2 }
      let status = try await rig.status(spec.actor)
      #expect(status.restarts == 0)
      #expect(status.state == .placed)
      #expect(status.node != far.node)
      try await eventually("its creator was not told") {
        await rig.bridge(0).heard.contains { $0.incarnation == 2 && $0.state == .placed }
      }
    }
  }

  @Test("an actor that is killed while its node is asked ends there")
  func killedEarly() async throws {
    try await withRig(cpus: [1, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let far = rig.bridge(1)
      await far.set(holdsStarts: true)
      let spec = RuntimeActorSpec.sample(1, job, strategy: .node(far.node, soft: false))
      _ = try await rig.create(spec)
      try await eventually { await far.calls.contains("start") }
      try await rig.cluster.killActor(spec.actor, noRestart: true, caller: rig.nodes[0].id)
      await far.set(holdsStarts: false)
      try await eventually("it runs on") {
        guard await far.running[spec.actor] == nil else { return false }
        return await far.calls.filter { $0 == "stop" }.count == 2
      }
      try await rig.allIsFree()
    }
  }

  /// Lets `body` speak for a process whose node has not answered yet to the order to start it.
  ///
  /// - Returns: what the actor's creator is told once the node has answered.
  private func created(
    speaking body: (Rig, RuntimeActorStatus, PeerID) async throws -> Void
  ) async throws -> RuntimeActorStatus {
    try await withRig(cpus: [2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let own = rig.bridge(0)
      await own.set(holdsStarts: true)
      let spec = RuntimeActorSpec.sample(1, job)
      async let created = rig.create(spec)
      try await eventually { await own.calls.contains("start") }
      var alive = RuntimeActorStatus(spec, state: .alive)
      alive.node = own.node
      alive.incarnation = 1
      try await body(rig, alive, own.id)
      await own.set(holdsStarts: false)
      return try await created.status
    }
  }

  @Test("a process that ends before its node's answer is here is no living actor")
  func endedBeforeTheAnswer() async throws {
    let status = try await created { rig, alive, node in
      var dead = alive
      dead.state = .dead
      dead.cause = ProcessLoss(.processLost, "exit status 7")
      try await rig.cluster.actorChanged(dead, caller: node)
      // What comes later is no news of a process that has ended.
      var late = dead
      late.state = .alive
      try await rig.cluster.actorChanged(late, caller: node)
    }
    #expect(status.state == .dead)
    #expect(status.incarnation == 1)
    #expect(status.cause?.message == "exit status 7")
  }

  @Test("a process that is ready before its node's answer is here is a living actor")
  func readyBeforeTheAnswer() async throws {
    let status = try await created { rig, alive, node in
      try await rig.cluster.actorChanged(alive, caller: node)
    }
    #expect(status.state == .alive)
  }

  @Test("an actor that is lost while its node's answer is on its way begins anew")
  func lostEarly() async throws {
    try await withRig(cpus: [1, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let far = rig.bridge(1)
      await far.set(holdsStarts: true)
      let spec = RuntimeActorSpec.sample(
        1, job, restarts: 1, strategy: .node(far.node, soft: false))
      var dead = try await rig.create(spec).status
      dead.state = .dead
      dead.cause = ProcessLoss(.processLost, "it was killed")
      try await rig.cluster.actorChanged(dead, caller: far.id)
      #expect(try await rig.status(spec.actor).state == .restarting)
      await far.set(holdsStarts: false)
      try await eventually { try await rig.status(spec.actor).incarnation == 2 }
      #expect(try await rig.status(spec.actor).restarts == 1)
    }
  }
}
