import IorunContract
import IorunCore
import Testing

@testable import IorunHead

/// What specs ask of nodes beside room, live in the head.
@Suite("Placement by a job's terms")
struct TermsPlacementTests {
  /// The nodes register with these claims.
  static func claim(_ rig: Rig, _ claims: [Int: NodeClaims]) async throws {
    for (index, claims) in claims {
      var facts = rig.nodes[index].facts
      facts.claims = claims
      _ = try await rig.services.nodes.register(
        NodeRegistration(facts: facts, leases: []), caller: rig.nodes[index].id)
    }
  }

  static func claims(
    _ country: String? = nil, dollars: Double? = nil, labels: [String: String]? = nil,
    at: (Double, Double)? = nil
  ) -> NodeClaims {
    var claims = NodeClaims()
    claims.country = country
    claims.labels = labels
    claims.microdollarsPerHour = dollars.map { Int($0 * 1e6) }
    (claims.latitude, claims.longitude) = (at?.0, at?.1)
    return claims
  }

  static func spec(ranks: Int = 1, _ change: (inout PlacementTerms) -> Void) -> JobSpec {
    var spec = JobSpec.sample(ranks: ranks)
    var terms = PlacementTerms()
    change(&terms)
    spec.gang.terms = terms
    return spec
  }

  static func names(_ rig: Rig, _ spec: JobSpec) async throws -> Set<String> {
    let plan = try await rig.services.placement.plan(spec, caller: rig.buyer)
    return Set(plan.places.map(\.nodeName))
  }

  @Test("labels choose nodes as Ray's do: in, !in, a value, !value, * and !*")
  func labels() async throws {
    try await withRig { (rig) async throws in
      try await Self.claim(
        rig,
        [
          0: Self.claims("DE", labels: ["tier": "fast"]), 1: Self.claims("FR"),
          2: Self.claims("US"),
        ])
      for (labels, expected) in [
        (["country": "in(DE,FR)"], ["node-1", "node-2"]), (["country": "!in(DE,FR)"], ["node-3"]),
        (["country": "US"], ["node-3"]), (["country": "!US"], ["node-1", "node-2"]),
        (["tier": "*"], ["node-1"]), (["tier": "!*"], ["node-2", "node-3"]),
      ] {
        let names = try await Self.names(rig, Self.spec(ranks: 9) { $0.labels = labels })
        let few = try await Self.names(rig, Self.spec(ranks: expected.count) { $0.labels = labels })
        #expect(few == Set(expected), "\(labels)")
        #expect(names.isSubset(of: expected), "\(labels)")
      }
      await expect(throwsCode: .noPlacement) {
        _ = try await rig.submit(Self.spec { $0.labels = ["country": "JP"] })
      }
      let plan = try await rig.services.placement.plan(
        Self.spec { $0.labels = ["country": "JP"] }, caller: rig.buyer)
      #expect(plan.refusal?.contains("3 not country=JP") == true, "\(plan)")
      for wrong in [["country": "in(DE"], ["": "x"], ["a": ""]] {
        await expect(throwsCode: .specInvalid) {
          _ = try await rig.submit(Self.spec { $0.labels = wrong })
        }
      }
    }
  }

  @Test("images go to nodes with sandboxes, and jobs that want the internet to those that lead out")
  func capabilities() async throws {
    try await withRig { (rig) async throws in
      for (index, (sandbox, leadsOut)) in [(0, ("bwrap", nil)), (1, (nil, true)), (2, (nil, nil))]
        as [(Int, (String?, Bool?))]
      {
        var facts = rig.nodes[index].facts
        facts.sandbox = sandbox
        facts.dataPlane = NodeFacts.DataPlane(backend: "iorun", leadsOut: leadsOut)
        _ = try await rig.services.nodes.register(
          NodeRegistration(facts: facts, leases: []), caller: rig.nodes[index].id)
      }
      var spec = JobSpec.sample(ranks: 1)
      spec.image = "registry.example/tool@sha256:" + String(repeating: "a", count: 64)
      #expect(try await Self.names(rig, spec) == ["node-1"])
      spec.network = .internet
      let plan = try await rig.services.placement.plan(spec, caller: rig.buyer)
      #expect(
        plan.refusal?.contains("without a way to lead gangs to the internet") == true, "\(plan)")
      #expect(plan.refusal?.contains("without a sandbox") == true, "\(plan)")
      spec.image = nil
      #expect(try await Self.names(rig, spec) == ["node-2"])
      spec.network = .nothing
      spec.gang.ranks = 2
      await expect(throwsCode: .specInvalid) { _ = try await rig.submit(spec) }
      spec.network = nil
      spec.image = "tool:latest"
      await expect(throwsCode: .specInvalid) { _ = try await rig.submit(spec) }
    }
  }

  @Test("a price is a limit, and offers tell it; there are none where nothing is cheap enough")
  func price() async throws {
    try await withRig { (rig) async throws in
      try await Self.claim(
        rig,
        [0: Self.claims(dollars: 1), 1: Self.claims(dollars: 0.5), 2: Self.claims(dollars: 2)])
      #expect(
        try await Self.names(rig, Self.spec(ranks: 8) { $0.mostMicrodollarsPerHour = 1_000_000 })
          == ["node-1", "node-2"])
      let offers = try await rig.services.placement.offers(
        Self.spec { $0.mostMicrodollarsPerHour = nil }, caller: rig.buyer)
      #expect(offers.map(\.microdollarsPerHour).min() == 500_000)
      // The first is where it goes.
      let plan = try await rig.services.placement.plan(
        Self.spec { $0.mostMicrodollarsPerHour = nil }, caller: rig.buyer)
      #expect(plan.offers == offers)
      #expect(offers.first?.shares.map(\.node) == plan.places.map(\.node))
      #expect(offers.allSatisfy { $0.reliability > 0.9 && $0.reliability < 1 })
      #expect(
        try await rig.services.placement.offers(
          Self.spec { $0.mostMicrodollarsPerHour = 1 }, caller: rig.buyer
        ).isEmpty)
    }
  }

  @Test("ranks lie apart over regions and suppliers; nodes of no known region share one")
  func apart() async throws {
    try await withRig { (rig) async throws in
      try await Self.claim(rig, [0: Self.claims("DE"), 1: Self.claims("DE"), 2: Self.claims("US")])
      let two = Self.spec(ranks: 2) { $0.mostRanksPerRegion = 1 }
      let names = try await Self.names(rig, two)
      #expect(names.contains("node-3") && names.count == 2)
      await expect(throwsCode: .noPlacement) {
        _ = try await rig.submit(Self.spec(ranks: 3) { $0.mostRanksPerRegion = 1 })
      }
      // Each node is its own supplier here.
      #expect(
        try await Self.names(rig, Self.spec(ranks: 3) { $0.mostRanksPerSupplier = 1 }).count == 3)
      await expect(throwsCode: .specInvalid) {
        _ = try await rig.submit(Self.spec { $0.mostRanksPerRegion = 0 })
      }
    }
  }

  @Test("a place that light in fibre refutes is flagged with the evidence, and not used")
  func falsePlace() async throws {
    try await withRig { (rig) async throws in
      // All three say Frankfurt but the third, which says Sydney and answers in 2 ms.
      try await Self.claim(
        rig,
        [
          0: Self.claims("DE", at: (50.1, 8.7)), 1: Self.claims("DE", at: (50.2, 8.6)),
          2: Self.claims("AU", at: (-33.9, 151.2)),
        ])
      let ids = rig.nodes.map(\.id)
      for (node, peers) in [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])] {
        _ = try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(),
            peers: peers.map { .init(peer: ids[$0], milliseconds: [2, 2, 2]) }), caller: ids[node])
      }
      let nodes = try await rig.services.network.nodes(caller: rig.buyer)
      let doubt = try #require(nodes.first { $0.id == ids[2] }?.placeDoubt)
      #expect(doubt.contains("its place is false") && doubt.contains("km away"), "\(doubt)")
      #expect(nodes.filter { $0.placeDoubt != nil }.map(\.id) == [ids[2]])
      await expect(throwsCode: .noPlacement) {
        _ = try await rig.submit(Self.spec { $0.labels = ["country": "AU"] })
      }
      let job = try await rig.submit(Self.spec(ranks: 3) { $0.labels = [:] })
      try await rig.wait(for: job.id, .running)
      let explained = try await rig.services.placement.explain(job.id, caller: rig.buyer)
      #expect(explained.notes?.contains { $0.hasPrefix("node-3: ") } == true, "\(explained)")
    }
  }

  @Test("what no node can claim is refused when it registers")
  func hostileClaims() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      var wrong = [Self.claims("Germany"), Self.claims(dollars: -1), Self.claims(dollars: 1e6)]
      wrong.append(Self.claims(at: (.nan, 0)))
      wrong.append(Self.claims(at: (91, 0)))
      wrong.append(Self.claims(labels: ["a": String(repeating: "x", count: 300)]))
      for claims in wrong {
        await expect(throwsCode: .malformed) { try await Self.claim(rig, [0: claims]) }
      }
    }
  }

  @Test("strategies are tried in order, and the plan says which fitted")
  func fallbacks() async throws {
    try await withRig(cpus: [2, 2]) { (rig) async throws in
      var spec = Self.spec(ranks: 4) { $0.fallbacks = [.strictSpread, .pack] }
      spec.gang.placement = .strictPack
      let plan = try await rig.services.placement.plan(spec, caller: rig.buyer)
      #expect(plan.strategy == .pack)
      try await rig.wait(for: rig.submit(spec).id, .running)
    }
  }

  @Test("a refusal names the nearest changes of the job's own terms, and each makes it fit")
  func relaxations() async throws {
    try await withRig { (rig) async throws in
      try await Self.claim(
        rig,
        [
          0: Self.claims("DE", dollars: 0.5), 1: Self.claims("DE", dollars: 0.805),
          2: Self.claims("US", dollars: 2),
        ])
      func refusal(_ spec: JobSpec) async throws -> String {
        try await rig.services.placement.plan(spec, caller: rig.buyer).refusal ?? ""
      }
      // Two nodes are needed; the second cheapest asks 0.805.
      let cheap = Self.spec(ranks: 8) { $0.mostMicrodollarsPerHour = 600_000 }
      #expect(try await refusal(cheap).contains("raise max_price to 0.81"))
      #expect(
        try await Self.names(rig, Self.spec(ranks: 8) { $0.mostMicrodollarsPerHour = 810_000 })
          == ["node-1", "node-2"])
      let misspelt = Self.spec { $0.labels = ["country": "GER", "tier": "!slow"] }
      let words = try await refusal(misspelt)
      #expect(words.contains("leave out label country=GER (nodes say DE, US)"), "\(words)")
      #expect(!words.contains("tier"), "\(words)")
      let unknown = try await refusal(Self.spec { $0.labels = ["rack": "7"] })
      #expect(unknown.contains("leave out label rack=7 (no node says rack)"), "\(unknown)")
      // No single change helps: what is wrong twice gets no wrong advice.
      let both = try await refusal(
        Self.spec {
          $0.labels = ["country": "GER"]
          $0.mostMicrodollarsPerHour = 1
        })
      #expect(!both.contains("leave out") && !both.contains("raise"), "\(both)")
    }
  }

  @Test("the measured class of a node's connection is a label")
  func connectivity() async throws {
    try await withRig { (rig) async throws in
      let ids = rig.nodes.map(\.id)
      let fast = "iorun.io/connectivity"
      #expect(try await Self.names(rig, Self.spec { $0.labels = [fast: "high"] }).isEmpty)
      // The first sends 700 and gets 900: High needs 600 up and 800 down.
      for (node, peer, rate) in [(0, 1, 700.0), (1, 0, 900), (2, 0, 901)] {
        _ = try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(),
            peers: [.init(peer: ids[peer], milliseconds: [5], megabitsPerSecond: rate)]),
          caller: ids[node])
      }
      rig.time.advance(by: NetworkMap.interval)
      #expect(
        try await Self.names(rig, Self.spec { $0.labels = [fast: "in(high,ultra)"] })
          == ["node-1"])
      // The second sends 900 and gets 700: that is Medium. The third's way in was not tried.
      #expect(
        try await Self.names(rig, Self.spec { $0.labels = [fast: "medium"] }) == ["node-2"])
      #expect(
        try await Self.names(rig, Self.spec { $0.labels = [fast: "unrated"] }) == ["node-3"])
    }
  }

  @Test("a label of security counts where an operator vouches for it, and no node can claim it")
  func security() async throws {
    try await withRig(cpus: [4, 4]) { (rig) async throws in
      let certified = sampleKey(77)
      let node = FakeNode(
        id: try PeerDirectory.id(of: certified), facts: .sample("certified", cpus: 4))
      _ = try await rig.services.network.createTicket(
        TicketRequest(
          role: .supplier, labels: ["iorun.io/security-soc2": "2026"], uses: 1,
          lifetimeSeconds: 60, label: ""), caller: rig.operatorID)
      _ = try await rig.services.admission.admit(
        publicKey: certified, name: "n", caller: PeerDirectory.id(of: sampleKey(201)))
      _ = try await node.register(with: rig.services.nodes)
      // The other claims the same of itself.
      await expect(throwsCode: .malformed) {
        try await Self.claim(
          rig, [0: Self.claims("DE", labels: ["iorun.io/security-soc2": "2026"])])
      }
      #expect(
        try await Self.names(rig, Self.spec { $0.labels = ["iorun.io/security-soc2": "*"] })
          == ["certified"])
    }
  }

  @Test("jobs alike in all but verification are not taken for the same")
  func question() {
    var one = JobSpec.sample(ranks: 2)
    var other = one
    one.name = "other"
    #expect(PlacementQuestion(one, ranks: 2) == PlacementQuestion(other, ranks: 2))
    #expect(PlacementQuestion(one, ranks: 2) != PlacementQuestion(other, ranks: 1))
    other.verification = .any
    #expect(PlacementQuestion(one, ranks: 2) != PlacementQuestion(other, ranks: 2))
    other.verification = one.verification
    other.network = .host
    one.network = .gang
    #expect(PlacementQuestion(one, ranks: 2) != PlacementQuestion(other, ranks: 2))
  }
}
