import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("Gangs that lose a node")
struct MendingTests {
  private static func spec(
    ranks: Int, _ onLoss: PlacementTerms.OnLoss, cpus: Int = 2, spares: Int? = nil,
    least: Int? = nil
  ) -> JobSpec {
    var spec = JobSpec.sample(ranks: ranks, cpus: cpus)
    var terms = PlacementTerms()
    terms.onLoss = onLoss
    terms.spares = spares
    terms.leastRanks = least
    spec.gang.terms = terms
    return spec
  }

  /// The node of a rank says goodbye.
  private static func lose(_ rig: Rig, _ job: JobStatus, _ rank: Int) async throws -> FakeNode {
    let node = rig.node(of: job, rank)
    await node.set(unreachable: true)
    try await rig.services.nodes.leave(caller: node.id)
    return node
  }

  @Test("the lost rank goes elsewhere, the others keep their nodes, and no retry is used up")
  func replaced() async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(Self.spec(ranks: 2, .replace)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let lost = try await Self.lose(rig, job, 1)
      let mended = try await rig.wait(
        for: job.id, .running, attempt: 2, advancing: .milliseconds(500))
      #expect(mended.ranks[0].node == job.ranks[0].node)
      #expect(mended.ranks[1].node != lost.id)
      for rank in 0..<2 { try await rig.end(mended, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
    }
  }

  @Test("a replacement of the same site is taken before all others")
  func sameSite() async throws {
    try await withRig(cpus: [2, 2, 64, 2]) { (rig) async throws in
      // 1, 2 and 4 are beside each other, 3 is far and free.
      let ids = rig.nodes.map(\.id)
      func trip(_ one: Int, _ other: Int) -> Double { one == 2 || other == 2 ? 60 : 1 }
      for node in 0..<4 {
        _ = try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(),
            peers: (0..<4).filter { $0 != node }.map { peer in
              .init(peer: ids[peer], milliseconds: Array(repeating: trip(node, peer), count: 3))
            }), caller: ids[node])
      }
      var spec = Self.spec(ranks: 2, .replace)
      spec.gang.placement = .site(maxRoundTripMilliseconds: nil)
      let job = try await rig.wait(for: rig.submit(spec).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      _ = try await Self.lose(rig, job, 1)
      let mended = try await rig.wait(
        for: job.id, .running, attempt: 2, advancing: .milliseconds(500))
      #expect(mended.ranks[0].node == job.ranks[0].node)
      #expect(mended.ranks.allSatisfy { $0.nodeName != "node-3" })
    }
  }

  @Test("where nothing is free, a gang that may shrinks, and its ranks hear how many they are")
  func shrunk() async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      let job = try await rig.wait(
        for: rig.submit(Self.spec(ranks: 3, .shrink, least: 2)).id, .running)
      for rank in 0..<3 { try await rig.runs(job, rank) }
      _ = try await Self.lose(rig, job, 0)
      let smaller = try await rig.wait(
        for: job.id, .running, attempt: 2, advancing: .milliseconds(500))
      #expect(smaller.ranks.count == 2)
      let grant = await rig.node(of: smaller, 0).grant(of: rig.lease(smaller, 0))
      #expect(grant?.spec.gang.ranks == 2)
      for rank in 0..<2 { try await rig.end(smaller, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
    }
  }

  @Test("below its least number it waits for another node, and does not shrink")
  func leastRanks() async throws {
    try await withRig(cpus: [2, 2]) { (rig) async throws in
      let job = try await rig.wait(
        for: rig.submit(Self.spec(ranks: 2, .shrink, least: 2)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      _ = try await Self.lose(rig, job, 1)
      try await rig.wait(for: job.id, .queued, advancing: .milliseconds(500))
      #expect(try await rig.status(job.id).state == .queued)
    }
  }

  /// Two nodes beside each other, and others so many milliseconds from both.
  private static func measure(_ rig: Rig, _ far: [Double]) async throws {
    let ids = rig.nodes.map(\.id)
    func trip(_ one: Int, _ other: Int) -> Double {
      let farther = max(one, other)
      return farther < 2 ? 1 : far[farther - 2]
    }
    for node in ids.indices {
      _ = try await rig.services.nodes.measured(
        NodeMeasurements(
          coordinate: NetworkCoordinate(),
          peers: ids.indices.filter { $0 != node }.map { peer in
            .init(peer: ids[peer], milliseconds: Array(repeating: trip(node, peer), count: 3))
          }), caller: ids[node])
    }
  }

  @Test("a gang that may degrades to places a little farther, and says so; one that may not waits")
  func degraded() async throws {
    for policy in [PlacementTerms.OnLoss.degrade, .replace] {
      try await withRig(cpus: [2, 2, 2, 2]) { (rig) async throws in
        try await Self.measure(rig, [12, 60])
        var spec = Self.spec(ranks: 2, policy)
        spec.gang.placement = .site(maxRoundTripMilliseconds: 10)
        let job = try await rig.wait(for: rig.submit(spec).id, .running)
        #expect(Set(job.ranks.map(\.nodeName)) == ["node-1", "node-2"])
        for rank in 0..<2 { try await rig.runs(job, rank) }
        _ = try await Self.lose(rig, job, 1)
        guard policy == .degrade else {
          try await rig.wait(for: job.id, .queued, advancing: .milliseconds(500))
          return
        }
        let mended = try await rig.wait(
          for: job.id, .running, attempt: 2, advancing: .milliseconds(500))
        #expect(mended.ranks[0].node == job.ranks[0].node)
        #expect(mended.ranks[1].nodeName == "node-3")
        let choice = try await rig.services.placement.explain(job.id, caller: rig.buyer).choice
        #expect(
          choice?.reasons.first?.contains("degraded: 12 ms apart now") == true, "\(choice as Any)")
      }
    }
  }

  @Test("a gang that may moves as a whole where nothing near is free, before jobs that wait")
  func migrated() async throws {
    try await withRig(cpus: [2, 2, 2, 2]) { (rig) async throws in
      try await Self.measure(rig, [50, 50])
      let ids = rig.nodes.map(\.id)
      for _ in 0..<9 {
        _ = try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(), peers: [.init(peer: ids[3], milliseconds: [1, 1, 1])]),
          caller: ids[2])
      }
      var spec = Self.spec(ranks: 2, .migrate)
      spec.gang.placement = .site(maxRoundTripMilliseconds: 10)
      let blocker = try await rig.wait(for: rig.submit(.sample(ranks: 4, cpus: 2)).id, .running)
      let gang = try await rig.submit(spec)
      for rank in 0..<4 { try await rig.end(blocker, rank, .exited(status: 0)) }
      let job = try await rig.wait(for: gang.id, .running, advancing: .milliseconds(500))
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let others = Set(rig.nodes.map(\.facts.name)).subtracting(job.ranks.map(\.nodeName))
      _ = try await Self.lose(rig, job, 1)
      // It would take what is left if it were its turn.
      var urgent = JobSpec.sample(ranks: 3, cpus: 2)
      urgent.priority = 10
      let waiting = try await rig.submit(urgent)
      let moved = try await rig.wait(
        for: job.id, .running, attempt: 2, advancing: .milliseconds(500))
      #expect(Set(moved.ranks.map(\.nodeName)) == others)
      #expect(try await rig.status(waiting.id).state == .queued)
      let choice = try await rig.services.placement.explain(job.id, caller: rig.buyer).choice
      #expect(choice?.reasons.first?.hasPrefix("moved") == true, "\(choice as Any)")
    }
  }

  @Test("a spare is held, nobody else gets it, and it takes the lost rank's place")
  func spare() async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      let job = try await rig.wait(
        for: rig.submit(Self.spec(ranks: 2, .replace, spares: 1)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let other = try await rig.submit(.sample(ranks: 1, cpus: 2), by: rig.otherBuyer)
      _ = try await Self.lose(rig, job, 1)
      let mended = try await rig.wait(
        for: job.id, .running, attempt: 2, advancing: .milliseconds(500))
      #expect(try await rig.status(other.id).state == .queued)
      for rank in 0..<2 { try await rig.end(mended, rank, .exited(status: 0)) }
      // What was held is free once the gang is over.
      try await rig.wait(for: other.id, .running, advancing: .milliseconds(500))
    }
  }

  @Test("`fail`, which is usual, fails")
  func fails() async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(Self.spec(ranks: 2, .fail)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      _ = try await Self.lose(rig, job, 1)
      try await rig.wait(for: job.id, .failed, advancing: .milliseconds(500))
    }
  }

  @Test("a restarted head goes on mending")
  func restart() async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(Self.spec(ranks: 2, .replace)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let lost = try await Self.lose(rig, job, 1)
      await rig.kill()
      try await rig.open()
      for node in rig.nodes where node.id != lost.id {
        try await node.register(with: rig.services.nodes)
      }
      let mended = try await rig.wait(
        for: job.id, .running, attempt: 2, advancing: .milliseconds(500))
      #expect(mended.ranks.allSatisfy { $0.node != lost.id })
    }
  }

  @Test("min_ranks goes with shrink only, and has bounds")
  func refused() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      for spec in [
        Self.spec(ranks: 2, .replace, least: 1), Self.spec(ranks: 2, .shrink, least: 3),
        Self.spec(ranks: 2, .shrink, least: 0), Self.spec(ranks: 2, .fail, spares: 65),
      ] {
        await expect(throwsCode: .specInvalid) { try await rig.submit(spec) }
      }
    }
  }
}
