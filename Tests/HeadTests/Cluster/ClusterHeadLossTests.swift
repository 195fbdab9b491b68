import IorunContract
import IorunCore
import IorunWire
import Testing

@testable import IorunHead

/// A head dies after it has told an actor's creator of its place, and before that place has heard of the
/// actor.
@Suite("Actors that a lost head had promised")
struct ClusterHeadLossTests {
  /// A new head on the folder of one that died so. Node 0 has the creator, node 1 was to run the actor.
  private func withPromise(
    _ body: (Rig, RuntimeActorSpec) async throws -> Void
  ) async throws {
    try await withRig(cpus: [4, 4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let spec = RuntimeActorSpec.sample(1, job, strategy: .node(rig.bridge(1).node, soft: true))
      await rig.bridge(1).set(holdsStarts: true)
      let record = try await rig.create(spec)
      try #require(record.status.state == .placed)
      try #require(record.status.node == rig.bridge(1).node)
      await rig.kill()
      await rig.bridge(1).set(holdsStarts: false)
      await rig.bridge(0).set(promised: [record])
      try await rig.open()
      try await body(rig, spec)
    }
  }

  @Test("are placed anew once their node says that it does not run them")
  func unheard() async throws {
    try await withPromise { rig, spec in
      try await rig.registerAll()
      try await rig.bridge(0).register(with: rig.cluster)
      await rig.services.tick()
      // Its node has not spoken: it may run there.
      #expect(try await rig.status(spec.actor).state == .placed)
      try await rig.bridge(1).register(with: rig.cluster)
      try await rig.bridge(2).register(with: rig.cluster)
      await rig.services.tick()
      try await eventually("it is not placed anew") {
        let status = try await rig.status(spec.actor)
        return status.state == .placed && status.incarnation == 2
      }
      let status = try await rig.status(spec.actor)
      #expect(status.restarts == 0, "nothing had run: its calls are made again")
      #expect(status.node == rig.bridge(1).node)
      #expect(await rig.bridge(1).running[spec.actor]?.status.incarnation == 2)
      try await eventually("its creator was not told") {
        await rig.bridge(0).heard.contains { $0.incarnation == 2 }
      }
    }
  }

  @Test("stay where they are if their node did hear of them", arguments: [[0, 1, 2], [1, 0, 2]])
  func heard(order: [Int]) async throws {
    try await withPromise { rig, spec in
      _ = try await rig.bridge(1).startActor(
        spec, incarnation: 1, restarts: 0, job: try #require(await rig.bridge(0).jobs.first),
        caller: rig.head)
      let calls = await rig.bridge(1).calls
      try await rig.registerAll()
      for index in order { try await rig.bridge(index).register(with: rig.cluster) }
      for _ in 0..<3 { await rig.services.tick() }
      let status = try await rig.status(spec.actor)
      #expect(status.incarnation == 1)
      #expect(status.node == rig.bridge(1).node)
      #expect(await rig.bridge(1).calls == calls, "neither stopped nor started again")
    }
  }

  @Test("are placed on another node if theirs does not come back")
  func gone() async throws {
    try await withPromise { rig, spec in
      for index in [0, 2] {
        try await rig.nodes[index].register(with: rig.services.nodes)
        try await rig.bridge(index).register(with: rig.cluster)
      }
      await rig.services.tick()
      #expect(try await rig.status(spec.actor).incarnation == 1)
      for _ in 0..<40 {
        rig.time.advance(by: .seconds(1))
        for index in [0, 2] { _ = try await rig.nodes[index].heartbeat() }
        await rig.services.tick()
      }
      try await eventually("it is not placed elsewhere") {
        let status = try await rig.status(spec.actor)
        return status.state == .placed && status.node != rig.bridge(1).node
      }
    }
  }

  @Test("end with their job, or when nobody wants them any more")
  func released() async throws {
    try await withPromise { rig, spec in
      try await rig.registerAll()
      try await rig.bridge(0).register(with: rig.cluster)
      try await rig.cluster.releaseActor(spec.actor, caller: rig.nodes[0].id)
      try await rig.bridge(1).register(with: rig.cluster)
      try await rig.bridge(2).register(with: rig.cluster)
      await rig.services.tick()
      #expect(try await rig.status(spec.actor).state == .dead)
      #expect(await rig.bridge(1).running.isEmpty)
    }
  }

  @Test("are told of by their creators' nodes alone")
  func forged() async throws {
    try await withPromise { rig, spec in
      let told = RuntimeActorRecord(
        spec: spec,
        status: {
          var status = RuntimeActorStatus(spec, state: .placed)
          status.node = rig.bridge(1).node
          status.incarnation = 1
          return status
        }())
      await rig.bridge(0).set(promised: [])
      await rig.bridge(2).set(promised: [told])
      try await rig.registerAll()
      try await rig.registerBridges()
      await #expect(throws: IorunError.self) { try await rig.status(spec.actor) }
    }
  }
}
