import IorunContract
import IorunCore
import IorunWire
import Testing

@testable import IorunHead

@Suite("Actors of runtime jobs at the head")
struct ClusterActorTests {
  @Test("an actor is placed in the call that creates it, and ready when its node says so")
  func life() async throws {
    try await withRig(cpus: [2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let spec = RuntimeActorSpec.sample(1, job)
      let record = try await rig.create(spec)
      #expect(record.status.state == .placed)
      #expect(record.status.node == rig.bridge(0).node)
      #expect(record.status.worker == WorkerID(high: 7, low: 1))
      #expect(record.status.incarnation == 1)
      // The node that asked heard it as the answer.
      #expect(await rig.bridge(0).heard.isEmpty)
      let alive = try #require(await rig.bridge(0).status(spec.actor, .alive))
      try await rig.cluster.actorChanged(alive, caller: rig.nodes[0].id)
      #expect(try await rig.status(spec.actor).state == .alive)
      try await eventually { await rig.bridge(0).heard.map(\.state) == [.alive] }
    }
  }

  @Test("SPREAD goes around the nodes, the creator's own among them, and skips none")
  func spread() async throws {
    try await withRig(cpus: [4, 4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      var uses: [NodeID: Int] = [:]
      for number in 1...6 {
        let spec = RuntimeActorSpec.sample(UInt64(number), job, strategy: .spread)
        let node = try #require(try await rig.create(spec).status.node)
        uses[node, default: 0] += 1
      }
      #expect(uses.values.sorted() == [2, 2, 2])
    }
  }

  @Test(
    "a name is unique within its namespace, free again after death, and found with get_if_exists")
  func names() async throws {
    try await withRig(cpus: [4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let first = RuntimeActorSpec.sample(1, job, name: "counter")
      _ = try await rig.create(first)
      await expect(throwsCode: .wrongState) {
        try await rig.create(.sample(2, job, name: "counter"))
      }
      let same = try await rig.create(.sample(3, job, name: "counter"), getIfExists: true)
      #expect(same.spec.actor == first.actor)
      #expect(same.spec.payload == first.payload)
      let found = try await rig.cluster.actor(
        named: "counter", namespace: "space", caller: rig.nodes[1].id)
      #expect(found.spec.actor == first.actor)
      #expect(
        try await rig.cluster.actorNames(namespace: nil, caller: rig.nodes[1].id)
          == [RuntimeActorName(name: "counter", namespace: "space")])
      await expect(throwsCode: .notFound) {
        try await rig.cluster.actor(
          named: "counter", namespace: "other", caller: rig.nodes[1].id)
      }
      try await rig.cluster.killActor(first.actor, noRestart: true, caller: rig.nodes[0].id)
      #expect(try await rig.create(.sample(4, job, name: "counter")).status.state == .placed)
      // Whoever looked it up hears of its death.
      try await eventually { await rig.bridge(1).heard.contains { $0.state == .dead } }
    }
  }

  @Test("a killed process begins anew as often as allowed, each time with another worker")
  func restarts() async throws {
    try await withRig(cpus: [2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let spec = RuntimeActorSpec.sample(1, job, restarts: 1)
      let first = try await rig.create(spec)
      let dead = try #require(await rig.bridge(0).status(spec.actor, .dead))
      try await rig.cluster.actorChanged(dead, caller: rig.nodes[0].id)
      try await eventually { try await rig.status(spec.actor).state == .placed }
      let second = try await rig.status(spec.actor)
      #expect(second.incarnation == 2)
      #expect(second.restarts == 1)
      #expect(second.worker != first.status.worker)
      // Old news of the first incarnation changes nothing.
      try await rig.cluster.actorChanged(dead, caller: rig.nodes[0].id)
      #expect(try await rig.status(spec.actor).state == .placed)
      let again = try #require(await rig.bridge(0).status(spec.actor, .dead))
      try await rig.cluster.actorChanged(again, caller: rig.nodes[0].id)
      let end = try await rig.status(spec.actor)
      #expect(end.state == .dead)
      #expect(end.cause?.message == "it was killed")
    }
  }

  @Test("an end that was meant is no fault: the actor does not begin anew")
  func intended() async throws {
    try await withRig(cpus: [2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let spec = RuntimeActorSpec.sample(1, job, restarts: -1)
      _ = try await rig.create(spec)
      let left = try #require(await rig.bridge(0).status(spec.actor, .dead, intended: true))
      try await rig.cluster.actorChanged(left, caller: rig.nodes[0].id)
      #expect(try await rig.status(spec.actor).state == .dead)
    }
  }

  @Test("kill without no_restart begins anew once the old process is gone")
  func killAndRestart() async throws {
    try await withRig(cpus: [1]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let spec = RuntimeActorSpec.sample(1, job, restarts: 1)
      let first = try await rig.create(spec).status
      try await rig.cluster.killActor(spec.actor, noRestart: false, caller: rig.nodes[0].id)
      try await eventually { await rig.bridge(0).calls.contains("stop") }
      var dead = first
      dead.state = .dead
      dead.cause = ClusterDirector.intended("stopped")
      try await rig.cluster.actorChanged(dead, caller: rig.nodes[0].id)
      try await rig.bridge(0).update(rig.cluster)
      try await eventually { try await rig.status(spec.actor).incarnation == 2 }
    }
  }

  @Test("a kill without no_restart of an actor that has no process yet counts as a restart")
  func killWaiting() async throws {
    try await withRig(cpus: [1]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      _ = try await rig.create(.sample(1, job))
      let spec = RuntimeActorSpec.sample(2, job, restarts: 1)
      #expect(try await rig.create(spec).status.state == .pending)
      let kill = {
        try await rig.cluster.killActor(spec.actor, noRestart: false, caller: rig.nodes[0].id)
      }
      try await kill()
      #expect(try await rig.status(spec.actor).state == .pending)
      #expect(try await rig.status(spec.actor).restarts == 1)
      try await kill()
      #expect(try await rig.status(spec.actor).state == .dead)
    }
  }

  @Test("actors of a lost node begin anew elsewhere or are dead, and every node hears of the loss")
  func nodeLoss() async throws {
    try await withRig(cpus: [2, 2, 2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let there = RuntimeDemand.Strategy.node(rig.bridge(1).node, soft: true)
      let stays = RuntimeActorSpec.sample(1, job, restarts: 1, strategy: there)
      let goes = RuntimeActorSpec.sample(2, job, strategy: there)
      for spec in [stays, goes] {
        #expect(try await rig.create(spec).status.node == rig.bridge(1).node)
      }
      try await rig.lose(1)
      try await eventually {
        let status = try await rig.status(stays.actor)
        return status.state == .placed && status.node != rig.bridge(1).node
      }
      let dead = try await rig.status(goes.actor)
      #expect(dead.state == .dead)
      #expect(dead.cause?.message.contains("node-2 is lost") == true)
      try await eventually { await rig.bridge(2).lostNodes == [rig.bridge(1).node] }
      let nodes = try await rig.cluster.clusterNodes(caller: rig.nodes[0].id)
      #expect(nodes.map(\.alive) == [true, false, true])
      // What it says now is of no worth before it registers again.
      await expect(throwsCode: .notFound) { try await rig.bridge(1).update(rig.cluster) }
    }
  }

  @Test("the end of a job ends its actors, except detached ones, which outlive it")
  func jobEnd() async throws {
    try await withRig(cpus: [4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let plain = RuntimeActorSpec.sample(1, job, name: "a")
      let detached = RuntimeActorSpec.sample(2, job, name: "b", detached: true)
      for spec in [plain, detached] { _ = try await rig.create(spec) }
      try await rig.cluster.closeJob(job.job, reason: "its driver ended", caller: rig.nodes[0].id)
      #expect(try await rig.status(plain.actor).state == .dead)
      #expect(try await rig.status(detached.actor).state == .placed)
      // The node that said so needs not be told.
      try await eventually { await rig.bridge(1).endedJobs == [job.job] }
      #expect(await rig.bridge(0).endedJobs.isEmpty)
      #expect(try await rig.cluster.job(job.job, caller: rig.nodes[0].id).job == job.job)
      try await rig.cluster.killActor(detached.actor, noRestart: true, caller: rig.nodes[0].id)
      await expect(throwsCode: .notFound) {
        try await rig.cluster.job(job.job, caller: rig.nodes[0].id)
      }
    }
  }

  @Test("what a detached actor made lives on with it when the driver is gone, and ends with it")
  func detachedFamily() async throws {
    try await withRig(cpus: [8, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      func made(_ number: UInt64, by parent: UInt64) async throws -> RuntimeActorSpec {
        let status = try await rig.status(RuntimeActorSpec.sample(parent, job).actor)
        var spec = RuntimeActorSpec.sample(number, job)
        spec.creator = ProcessAddress(
          node: try #require(status.node), worker: try #require(status.worker))
        _ = try await rig.create(spec)
        return spec
      }
      func group(_ number: UInt64, by creator: ProcessAddress) async throws {
        var spec = PlacementGroupSpec.sample(number, job, [.cpus(1)])
        spec.creator = creator
        let status = try await rig.cluster.createGroup(spec, caller: rig.nodes[0].id)
        #expect(status.state == .created)
      }
      func groupCount() async throws -> Int {
        let all: [PlacementGroupStatus] = try await rig.cluster.groups(
          nil, name: nil, caller: rig.nodes[0].id)
        return all.count
      }
      let plain = RuntimeActorSpec.sample(1, job)
      let detached = RuntimeActorSpec.sample(2, job, detached: true)
      for spec in [plain, detached] { _ = try await rig.create(spec) }
      let goes = try await made(3, by: 1)
      let stays = try await made(4, by: 2)
      let grandchild = try await made(5, by: 4)
      try await group(1, by: goes.creator)
      try await group(2, by: grandchild.creator)
      try await rig.cluster.closeJob(job.job, reason: "its driver ended", caller: rig.nodes[0].id)
      for spec in [plain, goes] { #expect(try await rig.status(spec.actor).state == .dead) }
      for spec in [detached, stays, grandchild] {
        #expect(try await rig.status(spec.actor).state == .placed)
      }
      #expect(try await groupCount() == 1)
      try await rig.cluster.killActor(detached.actor, noRestart: true, caller: rig.nodes[0].id)
      for spec in [stays, grandchild] { #expect(try await rig.status(spec.actor).state == .dead) }
      #expect(try await groupCount() == 0)
      await expect(throwsCode: .notFound) {
        try await rig.cluster.job(job.job, caller: rig.nodes[0].id)
      }
    }
  }

  @Test("an actor that waits is placed when there is room, and its creator hears of it")
  func waits() async throws {
    try await withRig(cpus: [1]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let first = RuntimeActorSpec.sample(1, job)
      let second = RuntimeActorSpec.sample(2, job)
      _ = try await rig.create(first)
      #expect(try await rig.create(second).status.state == .pending)
      try await rig.cluster.releaseActor(first.actor, caller: rig.nodes[0].id)
      try await eventually { await rig.bridge(0).calls.contains("stop in order") }
      try await rig.bridge(0).update(rig.cluster)
      try await eventually {
        await rig.bridge(0).heard.contains { $0.actor == second.actor && $0.state == .placed }
      }
    }
  }

  @Test("an actor whose end comes before its beginning never begins")
  func doomed() async throws {
    try await withRig(cpus: [4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let spec = RuntimeActorSpec.sample(1, job)
      try await rig.cluster.killActor(spec.actor, noRestart: true, caller: rig.nodes[0].id)
      #expect(try await rig.create(spec).status.state == .dead)
      #expect(await rig.bridge(0).calls.isEmpty)
      // One that may begin anew has had its first restart.
      for (number, restarts) in [(UInt64(2), 1), (3, 0)] {
        let spec = RuntimeActorSpec.sample(number, job, restarts: restarts)
        try await rig.cluster.killActor(spec.actor, noRestart: false, caller: rig.nodes[0].id)
        let status = try await rig.create(spec).status
        #expect(status.restarts == restarts)
        #expect((status.state == .dead) == (restarts == 0))
      }
    }
  }

  @Test("what an actor made ends with it")
  func children() async throws {
    try await withRig(cpus: [4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let parent = RuntimeActorSpec.sample(1, job)
      let worker = try #require(try await rig.create(parent).status.worker)
      var child = RuntimeActorSpec.sample(2, job)
      child.creator = ProcessAddress(node: rig.bridge(0).node, worker: worker)
      _ = try await rig.create(child)
      try await rig.cluster.killActor(parent.actor, noRestart: true, caller: rig.nodes[0].id)
      #expect(try await rig.status(child.actor).state == .dead)
    }
  }

  @Test("a new head learns of jobs, actors, names and bundles from the nodes, and goes on")
  func headLoss() async throws {
    try await withRig(cpus: [4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let named = RuntimeActorSpec.sample(1, job, name: "counter", restarts: 1)
      _ = try await rig.create(named)
      try await eventually { await rig.bridge(0).running[named.actor] != nil }
      let group = PlacementGroupSpec.sample(
        1, job, [.cpus(1), .cpus(1)], .strictSpread, name: "pair")
      #expect(
        try await rig.cluster.createGroup(group, caller: rig.nodes[0].id).state == .created)
      await rig.kill()
      try await rig.open()
      try await rig.registerAll()
      try await rig.registerBridges()
      let found = try await rig.cluster.actor(
        named: "counter", namespace: "space", caller: rig.nodes[1].id)
      #expect(found.status.state == .placed)
      #expect(try await rig.cluster.job(job.job, caller: rig.nodes[1].id) == job)
      let groups = try await rig.cluster.groups(
        nil, name: PlacementGroupName(name: "pair", namespace: "space"), caller: rig.nodes[0].id)
      #expect(groups.map(\.state) == [.created])
      // It lives on: its process dies, and it begins anew.
      let dead = try #require(await rig.bridge(0).status(named.actor, .dead))
      try await rig.cluster.actorChanged(dead, caller: rig.nodes[0].id)
      try await eventually { try await rig.status(named.actor).incarnation == 2 }
    }
  }

  @Test("a job whose driver's node does not come back to a new head is over")
  func orphans() async throws {
    try await withRig(cpus: [4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let spec = RuntimeActorSpec.sample(1, job, strategy: .node(rig.bridge(1).node, soft: false))
      _ = try await rig.create(spec)
      // A promise comes before its node hears of it, and only who has heard can tell.
      try await eventually { await rig.bridge(1).running[spec.actor] != nil }
      await rig.kill()
      try await rig.open()
      try await rig.nodes[1].register(with: rig.services.nodes)
      try await rig.bridge(1).register(with: rig.cluster)
      // Until it happens, rather than for the time that it takes: the head may begin to wait late.
      try await eventually {
        rig.time.advance(by: .seconds(1))
        _ = try await rig.nodes[1].heartbeat()
        await rig.services.tick()
        return await rig.bridge(1).endedJobs.contains(job.job)
      }
    }
  }

  @Test("an agent that begins anew under its key has lost its driver, and the job ends")
  func agentRestart() async throws {
    try await withRig(cpus: [4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      await rig.bridge(0).forgetAll()
      let over = try await rig.bridge(0).register(with: rig.cluster)
      #expect(over == [job.job])
    }
  }
}
