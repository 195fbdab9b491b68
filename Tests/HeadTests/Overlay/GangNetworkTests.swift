import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("The network of a gang")
struct GangNetworkTests {
  private static let able = NodeFacts.DataPlane(backend: "kernel")

  private func spec(_ network: JobSpec.Network?, ranks: Int = 3) -> JobSpec {
    var spec = JobSpec.sample(ranks: ranks, cpus: 2)
    spec.network = network
    return spec
  }

  @Test("is one of its own where its ranks are on several nodes and all of these can")
  func several() async throws {
    try await withRig(planes: [Self.able, Self.able, Self.able]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(spec(nil, ranks: 6)).id, .running)
      var keys: Set<[UInt8]> = []
      var seats: Set<Int> = []
      for rank in 0..<6 {
        try await rig.runs(job, rank)
        let node = rig.node(of: job, rank)
        let grant = try #require(await node.grant(of: rig.lease(job, rank)))
        let gang = try #require(await node.gang(of: rig.lease(job, rank)))
        let seat = try #require(grant.network)
        let network = try #require(gang.network)
        try seat.check()
        try network.check(seat)
        #expect(gang.masterAddress == seat.network.four(of: 0).description)
        #expect(gang.nodeRank == seat.node && network.nodes[rank] == seat.node)
        // Each node finds its own key at its own place.
        #expect(network.members[seat.node].publicKey[0] == UInt8(truncatingIfNeeded: node.id.low))
        keys.insert(network.presharedKey)
        seats.insert(seat.node)
      }
      #expect(keys.count == 1 && seats == [0, 1, 2])
    }
  }

  @Test("is the nodes' own where one node has all ranks, where a node cannot, and where it says so")
  func host() async throws {
    for (network, ranks, planes) in [
      (nil, 1, [Self.able, Self.able, Self.able]), (nil, 6, [Self.able, Self.able]),
      (.host, 6, [Self.able, Self.able, Self.able]),
    ] as [(JobSpec.Network?, Int, [NodeFacts.DataPlane])] {
      try await withRig(planes: planes) { (rig) async throws in
        let job = try await rig.wait(for: rig.submit(spec(network, ranks: ranks)).id, .running)
        try await rig.runs(job, 0)
        let node = rig.node(of: job, 0)
        #expect(try #require(await node.grant(of: rig.lease(job, 0))).network == nil)
        let gang = try #require(await node.gang(of: rig.lease(job, 0)))
        #expect(gang.network == nil && gang.masterAddress == "127.0.0.2")
      }
    }
  }

  @Test("that is asked for keeps ranks off nodes that cannot, and needs no tunnel on one node")
  func asked() async throws {
    try await withRig(planes: [
      NodeFacts.DataPlane(backend: nil, reason: "no tun"), Self.able,
    ]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(spec(.gang, ranks: 2)).id, .running)
      #expect(Set(job.ranks.map(\.nodeName)) == ["node-2"])
      try await rig.runs(job, 0)
      let network = try #require(await rig.nodes[1].gang(of: rig.lease(job, 0))?.network)
      #expect(network.members.isEmpty && network.nodes == [0, 0])
      await #expect(throws: IorunError.self) { try await rig.submit(spec(.gang, ranks: 3)) }
    }
  }

  @Test("keeps its addresses and its secret when the head restarts, and gives them up at its end")
  func restart() async throws {
    try await withRig(planes: [Self.able, Self.able, Self.able]) { (rig) async throws in
      await rig.nodes[2].set(holdsPreparation: true)
      let job = try await rig.submit(spec(nil, ranks: 6))
      try await eventually {
        try await rig.status(job.id).ranks.count { $0.state == .prepared } == 4
      }
      let before = try #require(try await rig.services.store.job(job.id)).0.network
      await rig.kill()
      await rig.nodes[2].set(holdsPreparation: false)
      try await rig.open()
      try await rig.registerAll()
      let running = try await rig.wait(for: job.id, .running)
      try await rig.runs(running, 0)
      let gang = try #require(await rig.node(of: running, 0).gang(of: rig.lease(running, 0)))
      #expect(before != nil && gang.network?.presharedKey == before?.presharedKey)
      #expect(gang.masterAddress == before?.network.four(of: 0).description)
      for rank in 0..<6 { try await rig.end(running, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
      #expect(try #require(try await rig.services.store.job(job.id)).0.network == nil)
    }
  }

  @Test("of a retry is a new one, and a node that made no tunnel spoils the attempt")
  func noTunnel() async throws {
    try await withRig(planes: [Self.able, Self.able, Self.able]) { (rig) async throws in
      await rig.nodes[1].set(losesTunnels: true)
      let job = try await rig.submit(spec(nil, ranks: 4))
      // The third node has room for the ranks of the second.
      let running = try await rig.wait(for: job.id, .running, advancing: .milliseconds(250))
      #expect(running.attempt == 2)
      #expect(!running.ranks.contains { $0.nodeName == "node-2" })
    }
  }
}
