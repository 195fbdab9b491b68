import IorunContract
import IorunCore
import Testing

@testable import IorunHead

/// Gangs that want to be near themselves, on what nodes told of their ways.
@Suite("Placement by sites")
struct SitePlacementTests {
  /// Nodes 1 and 2 are 1 ms apart; node 3 is `far` ms from both.
  private static func measure(_ rig: Rig, far: Double = 40) async throws {
    let ids = rig.nodes.map(\.id)
    for (node, peers) in [
      (0, [(1, 1.0), (2, far)]), (1, [(0, 1.0), (2, far)]), (2, [(0, far), (1, far)]),
    ] {
      _ = try await rig.services.nodes.measured(
        NodeMeasurements(
          coordinate: NetworkCoordinate(),
          peers: peers.map { .init(peer: ids[$0.0], milliseconds: [$0.1, $0.1, $0.1]) }),
        caller: ids[node])
    }
  }

  private static func spec(ranks: Int, _ placement: GangStrategy) -> JobSpec {
    var spec = JobSpec.sample(ranks: ranks, cpus: 2)
    spec.gang.placement = placement
    return spec
  }

  @Test("a gang lands in the one site that holds it, not on the freest nodes")
  func oneSite() async throws {
    try await withRig(cpus: [4, 4, 64]) { (rig) async throws in
      try await Self.measure(rig)
      let plan = try await rig.services.placement.plan(
        Self.spec(ranks: 4, .site(maxRoundTripMilliseconds: 10)), caller: rig.buyer)
      // The far node alone holds them, too, but the tightest site is taken.
      #expect(Set(plan.places.map(\.nodeName)) == ["node-1", "node-2"])
      #expect(plan.sites?.count == 1)
      #expect(plan.longestRoundTripMilliseconds == 0)
      let job = try await rig.submit(Self.spec(ranks: 4, .site(maxRoundTripMilliseconds: 10)))
      let running = try await rig.wait(for: job.id, .running)
      #expect(Set(running.ranks.map(\.nodeName)) == ["node-1", "node-2"])
      let explained = try await rig.services.placement.explain(job.id, caller: rig.buyer)
      #expect(explained.sites.count == 1)
      #expect(explained.plan == nil)
      let choice = try #require(explained.choice)
      #expect(choice.strategy == .site(maxRoundTripMilliseconds: 10) && choice.fallback == 0)
      #expect(choice.optimalityGap == 0 && choice.longestRoundTripMilliseconds == 0)
      #expect(choice.reasons.contains("all in one site"), "\(choice)")
      #expect(choice.reasons.contains { $0.hasPrefix("2 of 3 nodes") }, "\(choice)")
      #expect(plan.choice?.optimalityGap == 0)
      #expect(plan.offers?.isEmpty == false)
      // It is known for as long as the job is.
      for rank in 0..<4 { try await rig.end(running, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
      await rig.kill()
      try await rig.open()
      let kept = try await rig.services.placement.explain(job.id, caller: rig.buyer).choice
      #expect(kept == choice)
      await expect(throwsCode: .notFound) {
        _ = try await rig.services.placement.explain(job.id, caller: rig.otherBuyer)
      }
    }
  }

  @Test("a gang over several sites says how far from the best it can be, and names its spares")
  func gap() async throws {
    try await withRig { (rig) async throws in
      try await Self.measure(rig)
      var spec = Self.spec(ranks: 5, .site(maxRoundTripMilliseconds: nil))
      spec.gang.terms = PlacementTerms()
      spec.gang.terms?.fallbacks = [.pack]
      spec.gang.terms?.spares = 2
      let plan = try await rig.services.placement.plan(spec, caller: rig.buyer)
      #expect(plan.choice?.longestRoundTripMilliseconds == 40)
      #expect(plan.choice?.leastRoundTripMilliseconds == 40 && plan.choice?.optimalityGap == 0)
      let job = try await rig.wait(for: rig.submit(spec).id, .running, advancing: .seconds(1))
      let choice = try #require(
        try await rig.services.placement.explain(job.id, caller: rig.buyer).choice)
      #expect(choice.spares.isEmpty, "a spare is on another node")
      #expect(choice.reasons.contains("no room for 2 of 2 spares"), "\(choice)")
      #expect(
        choice.reasons.contains("2 sites within 40 ms: no shorter round trip is possible"),
        "\(choice)")
    }
  }

  @Test("one that is too large for any site waits, is told what would do, and runs once it is near")
  func waits() async throws {
    try await withRig { (rig) async throws in
      try await Self.measure(rig)
      let spec = Self.spec(ranks: 6, .site(maxRoundTripMilliseconds: 10))
      let job = try await rig.submit(spec)
      try await eventually("it waits for a placement") {
        try await rig.status(job.id).reason?.contains("at most 4 of the 6 ranks") == true
      }
      let explained = try await rig.services.placement.explain(job.id, caller: rig.buyer)
      #expect(explained.plan?.refusal?.contains("SITE(40ms)") == true, "\(explained)")
      #expect(explained.plan?.funnel?.steps.map(\.words) == ["over maxRTT 10 ms"])
      #expect(explained.choice == nil && explained.plan?.choice == nil)
      #expect(try await rig.services.placement.offers(spec, caller: rig.buyer).isEmpty)
      for _ in 0..<9 { try await Self.measure(rig, far: 6) }
      try await rig.wait(for: job.id, .running, advancing: .milliseconds(500))
    }
  }

  @Test("a host's quick answer counts where it can be the peer's, and not where it cannot")
  func hosts() async throws {
    try await withRig { (rig) async throws in
      let ids = rig.nodes.map(\.id)
      func tell(_ node: Int, head: Double, _ peers: [(Int, relayed: Double, host: Double)])
        async throws
      {
        _ = try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(),
            peers: [.init(peer: rig.head, milliseconds: [head])]
              + peers.map {
                .init(peer: ids[$0.0], milliseconds: [$0.relayed], hostMilliseconds: $0.host)
              }), caller: ids[node])
      }
      try await tell(0, head: 50, [])
      try await tell(1, head: 51, [])
      try await tell(2, head: 5, [])
      // Beside each other, though the mesh goes round by the head.
      try await tell(0, head: 50, [(1, relayed: 101, host: 0.3), (2, relayed: 55, host: 0.2)])
      let sites = await rig.services.map.sites
      #expect(sites.siteOf[ids[0]] == sites.siteOf[ids[1]])
      // Who is 45 ms nearer to the head cannot be beside a node that is not.
      #expect(sites.siteOf[ids[0]] != sites.siteOf[ids[2]])
      #expect(sites.roundTrip(ids[0], ids[2]) == 55)
      let told = try await rig.services.network.sites(caller: rig.buyer)
      #expect(told.sites.map(\.nodes.count) == [2, 1])
      #expect(told.sites.first?.neighbours.first?.roundTripMilliseconds == 55)
    }
  }

  @Test("what no strategy can be is refused before it is kept")
  func hostile() async throws {
    try await withRig { (rig) async throws in
      for limit in [Double.nan, 0, -3, 1e9] {
        await expect(throwsCode: .specInvalid) {
          _ = try await rig.submit(Self.spec(ranks: 2, .site(maxRoundTripMilliseconds: limit)))
        }
      }
      await expect(throwsCode: .noPlacement) {
        _ = try await rig.submit(Self.spec(ranks: 3, .strictPack))
      }
    }
  }
}
