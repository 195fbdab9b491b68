import IorunContract
import IorunCore
import IorunPoW
import Testing

@testable import IorunHead

/// GPUs in the network: each is a device of its own, whose memory and products are proved at one instant.
@Suite("Proofs of GPUs")
struct GPUProofTests {
  private static func gpu(_ number: Int, memory: Bytes = .mebi(64)) -> NodeFacts.GPU {
    NodeFacts.GPU(model: "a GPU", uuid: "GPU-0000000\(number)", memory: memory)
  }

  private static func mark(_ rig: Rig, _ gpu: NodeFacts.GPU, of index: Int = 0) async throws
    -> DeviceMark
  {
    let nodes = try await rig.services.network.nodes(caller: rig.operatorID)
    let node = try #require(nodes.first { $0.id == rig.nodes[index].id })
    return try #require(node.gpuMarks)[gpu.uuid] ?? DeviceMark()
  }

  private static func history(_ rig: Rig, _ name: String) async throws -> DeviceHistory {
    try await rig.proofs.history(name, limit: 100, caller: rig.operatorID)
  }

  @Test("each GPU of a node is verified by products and walks, as a device of its own")
  func verified() async throws {
    let gpus = [Self.gpu(1), Self.gpu(2)]
    try await withRig(cpus: [2], gpus: [gpus], options: .proofs(.record)) { rig in
      #expect(try await Self.mark(rig, gpus[1]).status == .pending)
      try await rig.drive("they were not verified") {
        for gpu in gpus where try await Self.mark(rig, gpu).status != .verified { return false }
        return true
      }
      #expect(try await rig.mark().status == .verified)
      let all = try await rig.proofs.status(caller: rig.operatorID).devices
      #expect(all.map(\.nodeName) == ["node-1", "node-1/gpu0", "node-1/gpu1"])
      #expect(Set(all.map(\.device)).count == 3)
      for (index, gpu) in gpus.enumerated() {
        let history = try await Self.history(rig, "node-1/gpu\(index)")
        #expect(history.device.profile.gpu?.uuid == gpu.uuid)
        #expect(
          history.device.capabilities == [.product: .verified, .gpuMemory: .verified])
        #expect(history.transitions.map(\.entry.reason.name) == ["rates"])
        #expect(history.verdicts.allSatisfy { $0.verdict.isAccepted })
        // Both halves of a round, in each.
        let rounds = Dictionary(grouping: history.verdicts, by: \.verdict.round)
        #expect(rounds.count >= 3)
        for records in rounds.values {
          #expect(Set(records.map(\.verdict.kind)) == [.product, .gpuMemory])
        }
        let products = history.verdicts.filter { $0.verdict.kind == .product }
        #expect(products.allSatisfy { (0.9...1.1).contains($0.ratio) })
      }
    }
  }

  @Test("both halves of a round begin at the same instant, and all GPUs of a group's first rounds")
  func together() async throws {
    let gpus = [Self.gpu(1), Self.gpu(2)]
    try await withRig(cpus: [1], gpus: [gpus], options: .proofs(.record)) { rig in
      try await rig.drive("they were not verified") {
        for gpu in gpus where try await Self.mark(rig, gpu).status != .verified { return false }
        return true
      }
      let started = await rig.prover().started.map(\.challenge).filter {
        !$0.puzzle.kind.isOnProcessor
      }
      let first = started.filter { $0.round == started[0].round }
      #expect(first.count == 4)
      #expect(Set(first.map(\.opensAtMilliseconds)).count == 1)
      for round in Set(started.map(\.round)) {
        for key in await rig.prover().gpuKeys.values {
          let halves = started.filter { $0.round == round && $0.device == DeviceID(key) }
          #expect(Set(halves.map(\.opensAtMilliseconds)).count <= 1)
        }
      }
      // The node's own run was over: its cores are no GPU's, and no GPU's are its.
      let last = try #require(
        await rig.prover().started.lastIndex { $0.challenge.puzzle.kind.isOnProcessor })
      let firstOfGPU = try #require(
        await rig.prover().started.firstIndex { !$0.challenge.puzzle.kind.isOnProcessor })
      #expect(last < firstOfGPU)
    }
  }

  @Test("shared GPU: one that multiplies at half of its claim fails, and its node does not")
  func slow() async throws {
    let gpu = Self.gpu(1)
    try await withRig(cpus: [2], gpus: [[gpu]], options: .proofs(.record)) { rig in
      try await rig.prover().set(gpus: [gpu], productSlowness: 2)
      try await rig.drive("it did not fail") { try await Self.mark(rig, gpu).status == .failed }
      let history = try await Self.history(rig, "node-1/gpu0")
      #expect(
        history.transitions.map(\.entry.reason.name).reversed() == ["rerun:slow", "slow"])
      #expect(history.device.capabilities[.product] == .failed)
      #expect(try await rig.mark().status == .verified)
    }
  }

  @Test("a GPU that hashes no faster than its node's cores may be these: it is not asked")
  func posing() async throws {
    let gpu = Self.gpu(1)
    // Twenty-one cores do more than its two million steps a second.
    try await withRig(cpus: [21], gpus: [[gpu]], options: .proofs(.record)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      for _ in 0..<5 {
        try await rig.pass(.seconds(1))
        await rig.director.tick()
      }
      #expect(try await Self.mark(rig, gpu).status == .pending)
      #expect(await rig.prover().started.allSatisfy { $0.challenge.puzzle.kind.isOnProcessor })
    }
  }

  @Test("enforce: jobs that want GPUs wait until these are verified, others do not")
  func enforce() async throws {
    let gpu = Self.gpu(1)
    try await withRig(cpus: [2], gpus: [[gpu]], options: .proofs(.enforce)) { rig in
      try await rig.prover().set(gpus: [])
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      var spec = JobSpec.sample(ranks: 1)
      #expect(try await rig.services.placement.plan(spec, caller: rig.buyer).refusal == nil)
      spec.gang.resources.gpus = 1
      let words = try #require(
        try await rig.services.placement.plan(spec, caller: rig.buyer).refusal)
      #expect(words.contains("without a proof of their GPUs"))
      #expect(words.contains("verification"))
      spec.verification = .any
      #expect(try await rig.services.placement.plan(spec, caller: rig.buyer).refusal == nil)
      spec.verification = nil
      try await rig.prover().set(gpus: [gpu])
      try await rig.drive("it was not verified", step: .seconds(10)) {
        try await Self.mark(rig, gpu).status == .verified
      }
      #expect(try await rig.services.placement.plan(spec, caller: rig.buyer).refusal == nil)
    }
  }

  @Test("marks of GPUs outlive a head that is killed, and go with a GPU that is offered no more")
  func kept() async throws {
    let gpu = Self.gpu(1)
    try await withRig(cpus: [1], gpus: [[gpu]], options: .proofs(.record)) { rig in
      try await rig.drive("it was not verified") {
        try await Self.mark(rig, gpu).status == .verified
      }
      await rig.kill()
      try await rig.open()
      try await rig.registerAll()
      await rig.services.tick()
      #expect(try await Self.mark(rig, gpu).status == .verified)
      let store = await rig.services.proofDirector.store
      #expect(try await store.devices().count == 2)
      var facts = rig.nodes[0].facts
      facts.gpus = []
      _ = try await rig.services.nodes.register(
        NodeRegistration(facts: facts, leases: []), caller: rig.nodes[0].id)
      try await eventually("its device is still there") {
        await rig.director.tick()
        return try await store.devices().count == 1
      }
    }
  }
}
