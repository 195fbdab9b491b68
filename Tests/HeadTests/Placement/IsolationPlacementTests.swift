import IorunContract
import IorunCore
import IorunWire
import Testing

@testable import IorunHead

/// Strangers' work runs in sandboxes only.
@Suite("Placement by isolation")
struct IsolationPlacementTests {
  /// Node 1 has a sandbox, node 2 takes its owner's work alone, node 3 everybody's.
  private static func with(_ body: (Rig) async throws -> Void) async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      for (index, change) in Self.changes.enumerated() {
        var facts = rig.nodes[index].facts
        facts.runsStrangersBare = change.bare
        facts.sandbox = change.sandbox
        _ = try await rig.services.nodes.register(
          NodeRegistration(facts: facts, leases: []), caller: rig.nodes[index].id)
      }
      try await body(rig)
    }
  }

  private static let changes: [(sandbox: String?, bare: Bool?)] = [
    ("bwrap", nil), (nil, nil), (nil, true),
  ]

  private static func names(
    _ rig: Rig, _ caller: PeerID, _ isolation: JobSpec.Isolation? = nil, ranks: Int
  ) async throws -> [String] {
    var spec = JobSpec.sample(ranks: ranks)
    spec.isolation = isolation
    let plan = try await rig.services.placement.plan(spec, caller: caller)
    return plan.refusal.map { [$0] } ?? Set(plan.places.map(\.nodeName)).sorted()
  }

  @Test("a buyer's job goes where there is a sandbox, or where the owner takes everybody's")
  func foreign() async throws {
    try await Self.with { rig in
      #expect(try await Self.names(rig, rig.buyer, ranks: 4) == ["node-1", "node-3"])
      let refusal = try await Self.names(rig, rig.buyer, ranks: 6)
      #expect(refusal.first?.contains("1 not isolated") == true, "\(refusal)")
      #expect(
        try await Self.names(rig, rig.operatorID, ranks: 6) == ["node-1", "node-2", "node-3"])
    }
  }

  @Test("isolation: required is for nodes with a sandbox only, whosever they are")
  func required() async throws {
    try await Self.with { rig in
      #expect(try await Self.names(rig, rig.operatorID, .required, ranks: 2) == ["node-1"])
      let refusal = try await Self.names(rig, rig.operatorID, .required, ranks: 4)
      #expect(refusal.first?.contains("2 not isolated (isolation: required)") == true, "\(refusal)")
    }
  }

  /// The three nodes have sandboxes; the first one's findings are the test's.
  private static func with(
    _ found: NodeFacts.Isolation, _ body: (Rig) async throws -> Void
  ) async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      for (index, node) in rig.nodes.enumerated() {
        var facts = node.facts
        facts.sandbox = "bwrap"
        facts.runsStrangersBare = nil
        // The others are of an earlier version.
        facts.isolation = index == 0 ? found : nil
        _ = try await rig.services.nodes.register(
          NodeRegistration(facts: facts, leases: []), caller: node.id)
      }
      try await body(rig)
    }
  }

  @Test(
    "a sandbox without a limit of memory or processes takes no stranger's work",
    arguments: [
      "memory", "pids",
    ])
  func unbounded(limit: String) async throws {
    let found = NodeFacts.Isolation(drivers: ["bwrap"], scratch: "tmpfs", missingLimits: [limit])
    try await Self.with(found) { (rig) async throws in
      #expect(try await Self.names(rig, rig.buyer, ranks: 4) == ["node-2", "node-3"])
      #expect(
        try await Self.names(rig, rig.operatorID, ranks: 6) == ["node-1", "node-2", "node-3"])
    }
  }

  @Test("isolation: required wants every limit kept, and says which is not")
  func counted() async throws {
    let found = NodeFacts.Isolation(
      drivers: ["bwrap"], scratch: "gocryptfs", missingLimits: ["cpu"])
    try await Self.with(found) { (rig) async throws in
      #expect(try await Self.names(rig, rig.buyer, ranks: 6).count == 3)
      let refusal = try await Self.names(rig, rig.buyer, .required, ranks: 6)
      #expect(
        refusal.first?.contains("1 without a limit of cpu (isolation: required)") == true,
        "\(refusal)")
    }
  }

  @Test("a node whose scratch is in memory offers no disk")
  func memoryScratch() async throws {
    try await Self.with(NodeFacts.Isolation(drivers: ["bwrap"], scratch: "tmpfs")) { rig in
      var spec = JobSpec.sample(ranks: 3)
      spec.gang.resources.disk = .mebi(64)
      let plan = try await rig.services.placement.plan(spec, caller: rig.buyer)
      #expect(plan.refusal == nil && !plan.places.contains { $0.nodeName == "node-1" }, "\(plan)")
    }
  }

  @Test("a job can ask for the strong tier by its label")
  func tier() async throws {
    try await Self.with(
      NodeFacts.Isolation(drivers: ["oci"], scratch: "gocryptfs", tier: "strong")
    ) { rig in
      var spec = JobSpec.sample(ranks: 1)
      var terms = PlacementTerms()
      terms.labels = ["iorun.io/isolation-tier": "strong"]
      spec.gang.terms = terms
      let plan = try await rig.services.placement.plan(spec, caller: rig.buyer)
      #expect(plan.places.map(\.nodeName) == ["node-1"], "\(plan)")
    }
  }

  @Test("findings beyond all bounds are refused")
  func hostile() async throws {
    try await withRig { (rig) async throws in
      for found in [
        NodeFacts.Isolation(drivers: Array(repeating: "x", count: 17), scratch: nil),
        NodeFacts.Isolation(drivers: ["a\u{1b}[2J"], scratch: nil),
        NodeFacts.Isolation(drivers: [], scratch: String(repeating: "x", count: 257)),
      ] {
        var facts = rig.nodes[0].facts
        facts.isolation = found
        await expect(throwsCode: .malformed) {
          _ = try await rig.services.nodes.register(
            NodeRegistration(facts: facts, leases: []), caller: rig.nodes[0].id)
        }
      }
    }
  }

  @Test("the grant says whose job it is, so that the node can refuse")
  func grant() async throws {
    try await Self.with { rig in
      for caller in [rig.buyer, rig.operatorID] {
        var spec = JobSpec.sample(ranks: 1)
        spec.isolation = .required
        let job = try await rig.submit(spec, by: caller).id
        try await eventually("no grant") { await rig.nodes[0].leases.contains { $0.job == job } }
        let isForeign = await rig.nodes[0].isForeign(job)
        #expect(isForeign == (caller == rig.buyer))
      }
    }
  }

  @Test("tasks of a driver elsewhere are kept from a node that takes its owner's work alone")
  func runtime() async throws {
    try await Self.with { rig in
      try await rig.registerBridges()
      // A driver on node 1.
      let job = try await rig.openJob()
      let wish = RuntimeDemand(
        resources: .cpus(2), strategy: .node(rig.bridge(1).node, soft: false))
      rig.time.advance(by: .seconds(2))
      await rig.services.tick()
      do {
        _ = try await rig.lease(job, wish)
        Issue.record("it was granted")
      } catch let error as IorunError {
        #expect(error.code == .noPlacement && error.message.contains("1 not isolated"), "\(error)")
      }
      #expect(
        try await rig.lease(
          job, RuntimeDemand(resources: .cpus(2), strategy: .node(rig.bridge(2).node, soft: false))
        ).node == rig.bridge(2).node)
    }
  }
}
