import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("The map of ways between nodes")
struct NetworkMapTests {
  @Test("what nodes measure is kept for the pair, and each is told whom to measure next")
  func measures() async throws {
    try await withRig { (rig) async throws in
      let (one, two, three) = (rig.nodes[0].id, rig.nodes[1].id, rig.nodes[2].id)
      let map = rig.services.map
      let first = try await rig.services.nodes.measured(
        NodeMeasurements(coordinate: NetworkCoordinate(), peers: []), caller: one)
      #expect(Set(first.targets.map(\.peer)) == [two, three])
      #expect(await map.measured(one, two) == nil)
      _ = try await rig.services.nodes.measured(
        NodeMeasurements(
          coordinate: NetworkCoordinate(),
          peers: [
            .init(peer: two, milliseconds: [30, 90, 31]),
            // A node that nobody knows, and a way that leads back.
            .init(peer: .sample(404), milliseconds: [1]), .init(peer: one, milliseconds: [1]),
          ]), caller: one)
      #expect(await map.roundTrip(two, one) == 31)
      #expect(await map.measured(one, .sample(404)) == nil)
      // The one that was measured is asked for last.
      rig.time.advance(by: .milliseconds(500))
      let next = try await rig.services.nodes.measured(
        NodeMeasurements(coordinate: NetworkCoordinate(), peers: []), caller: one)
      #expect(next.targets.map(\.peer) == [three, two])
      // Where nothing was measured, coordinates foretell.
      _ = try await rig.services.nodes.measured(
        NodeMeasurements(coordinate: NetworkCoordinate(), peers: []), caller: three)
      #expect(await map.roundTrip(one, three) != nil)
      try await rig.services.nodes.leave(caller: one)
      #expect(await map.measured(one, two) == nil)
    }
  }

  @Test("how uneven a node's way to the head is, and how much is lost on it, is shown")
  func unevenness() async throws {
    try await withRig { (rig) async throws in
      let node = rig.nodes[0].id
      _ = try await rig.services.nodes.measured(
        NodeMeasurements(
          coordinate: NetworkCoordinate(),
          peers: [.init(peer: rig.head, milliseconds: [10, 26, nil])]), caller: node)
      let listed = try await rig.services.network.nodes(caller: rig.buyer)
      // Each look counts a sixteenth: RFC 3550, 6.4.1.
      #expect(listed.first { $0.id == node }?.jitterMilliseconds == 1)
      #expect(listed.first { $0.id == node }?.lostPart == 1.0 / 16)
      #expect(listed.first { $0.id == rig.nodes[1].id }?.jitterMilliseconds == nil)
    }
  }

  @Test("how fast bytes go is tried under a budget, and kept for its direction")
  func throughput() async throws {
    try await withRig { (rig) async throws in
      let (one, two, three) = (rig.nodes[0].id, rig.nodes[1].id, rig.nodes[2].id)
      let map = rig.services.map
      func tell(_ peers: [NodeMeasurements.Peer]) async throws -> [PeerID] {
        try await rig.services.nodes.measured(
          NodeMeasurements(coordinate: NetworkCoordinate(), peers: peers), caller: one
        ).targets.filter { $0.bulkBytes == NetworkMap.bulkBytes }.map(\.peer)
      }
      #expect(try await tell([]).isEmpty, "no way is known yet")
      let trips = [two, three].map { NodeMeasurements.Peer(peer: $0, milliseconds: [5]) }
      let first = try await tell(trips)
      #expect(first.count == 1)
      let target = try #require(first.first)
      #expect(
        try await tell([.init(peer: target, milliseconds: [5], megabitsPerSecond: 450)]).isEmpty)
      #expect(await map.throughput(from: one, to: target) == 450)
      #expect(await map.throughput(from: target, to: one) == nil)
      let listed = try await rig.services.network.nodes(caller: rig.operatorID)
      #expect(listed.first { $0.id == one }?.sendMegabitsPerSecond == 450)
      #expect(listed.first { $0.id == one }?.receiveMegabitsPerSecond == nil)
      #expect(listed.first { $0.id == target }?.receiveMegabitsPerSecond == 450)
      rig.time.advance(by: NetworkMap.bulkInterval)
      #expect(try await tell([]) == [two, three].filter { $0 != target })
      rig.time.advance(by: NetworkMap.bulkLife)
      #expect(try await tell([]).count == 1, "it has become old")
      _ = try await tell([.init(peer: target, milliseconds: [5], megabitsPerSecond: -.infinity)])
      #expect(await map.throughput(from: one, to: target) == 450)
      rig.time.advance(by: NetworkMap.bulkLife)
      #expect(await map.throughput(from: one, to: target) == nil)
    }
  }

  @Test("where nobody measured, relays say how far two nodes are from each other at most")
  func landmarks() async throws {
    try await withRig { (rig) async throws in
      let (one, two, relay) = (rig.nodes[0].id, rig.nodes[1].id, PeerID.sample(77))
      let map = rig.services.map
      await map.landmarks([relay: 12], of: one)
      #expect(await map.roundTrip(one, two) == nil)
      await map.landmarks([relay: 30], of: two)
      #expect(await map.roundTrip(one, two) == 42)
      _ = try await rig.services.nodes.measured(
        NodeMeasurements(
          coordinate: NetworkCoordinate(), peers: [.init(peer: two, milliseconds: [25, 25, 25])]),
        caller: one)
      #expect(await map.roundTrip(one, two) == 25, "what was measured counts more")
      try await rig.services.nodes.leave(caller: two)
      #expect(await map.roundTrip(one, two) == nil)
    }
  }

  @Test(
    "nodes of a site that are as far from the head and two relays as each other may be one machine")
  func latencyTwins() async throws {
    try await withRig { (rig) async throws in
      let ids = rig.nodes.map(\.id)
      let (near, far, map) = (PeerID.sample(77), PeerID.sample(78), rig.services.map)
      // All three are a millisecond from each other; the last is elsewhere in town.
      for (index, toHead, toNear, toFar) in [
        (0, 9.0, 4.0, 80.0), (1, 9.1, 4.2, 79.9), (2, 9.1, 5, 80),
      ] {
        let peers = ids.indices.filter { $0 != index }.map {
          NodeMeasurements.Peer(peer: ids[$0], milliseconds: [1, 1])
        }
        _ = try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(),
            peers: peers + [.init(peer: rig.head, milliseconds: [toHead, toHead])]),
          caller: ids[index])
        await map.landmarks([near: toNear], of: ids[index])
        #expect(await map.latencyTwins.isEmpty, "one relay tells too little")
        await map.landmarks([near: toNear, far: toFar], of: ids[index])
        if index == 0 { await map.landmarks([near: toNear], of: ids[index]) }
      }
      #expect(await map.latencyTwins.isEmpty)
      await map.landmarks([near: 4, far: 80], of: ids[0])
      #expect(await map.latencyTwins == [ids[0]: [ids[1]], ids[1]: [ids[0]]])
    }
  }

  @Test("attack: a node that tells more than it was asked for, or what cannot be, is refused")
  func hostile() async throws {
    try await withRig { (rig) async throws in
      let (one, two) = (rig.nodes[0].id, rig.nodes[1].id)
      await expect(throwsCode: .malformed) {
        try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(),
            peers: [.init(peer: two, milliseconds: Array(repeating: 1, count: 9))]), caller: one)
      }
      await expect(throwsCode: .malformed) {
        try await rig.services.nodes.measured(
          NodeMeasurements(
            coordinate: NetworkCoordinate(),
            peers: Array(repeating: .init(peer: two, milliseconds: []), count: 65)), caller: one)
      }
      _ = try await rig.services.nodes.measured(
        NodeMeasurements(
          coordinate: NetworkCoordinate(),
          peers: [.init(peer: two, milliseconds: [.nan, .infinity, -4, 0])]), caller: one)
      #expect(await rig.services.map.measured(one, two) == nil)
    }
  }
}
