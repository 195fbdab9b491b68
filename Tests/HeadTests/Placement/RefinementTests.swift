import IorunContract
import IorunCore
import Testing

@testable import IorunHead

/// Gangs that want to be near themselves are placed on fresh measurements.
@Suite("Refinement on fresh round trips")
struct RefinementTests {
  private static func tell(
    _ rig: Rig, _ node: Int, _ trips: [(peer: Int, milliseconds: Double?)]
  ) async throws -> ProbeOrders {
    try await rig.services.nodes.measured(
      NodeMeasurements(
        coordinate: NetworkCoordinate(),
        peers: trips.map { .init(peer: rig.nodes[$0.peer].id, milliseconds: [$0.milliseconds]) }),
      caller: rig.nodes[node].id)
  }

  private static var spec: JobSpec {
    var spec = JobSpec.sample(ranks: 2, cpus: 2)
    spec.gang.placement = .site(maxRoundTripMilliseconds: nil)
    return spec
  }

  /// By what was measured long ago, the first and the third node are nearest.
  private static func stale(_ rig: Rig) async throws {
    _ = try await tell(rig, 0, [(1, 40), (2, 10)])
    _ = try await tell(rig, 1, [(2, 60)])
    rig.time.advance(by: .seconds(600))
    for node in rig.nodes { try await node.heartbeat() }
  }

  @Test("what is stale is measured first, by the nodes that matter, and then decides")
  func chosenAgain() async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      try await Self.stale(rig)
      let ids = rig.nodes.map(\.id)
      let planned = try await rig.services.placement.plan(Self.spec, caller: rig.buyer)
      #expect(Set(planned.places.map(\.nodeName)) == ["node-1", "node-3"])
      let job = try await rig.submit(Self.spec)
      try await eventually("it waits for measurements") {
        try await rig.status(job.id).reason?.contains("fresh round trips") == true
      }
      // Chosen ones and spares, at once, and to be told soon.
      var orders = try await Self.tell(rig, 0, [])
      #expect(Set(orders.targets.map(\.peer)) == [ids[1], ids[2]])
      #expect(orders.intervalMilliseconds == 1000)
      orders = try await Self.tell(rig, 0, [(1, 20), (2, 80)])
      #expect(orders.intervalMilliseconds > 1000, "nothing is left for it to do")
      await rig.services.tick()
      #expect(try await rig.status(job.id).state == .queued, "one pair is still open")
      _ = try await Self.tell(rig, 1, [(2, 70)])
      let running = try await rig.wait(for: job.id, .running, advancing: .milliseconds(10))
      #expect(Set(running.ranks.map(\.nodeName)) == ["node-1", "node-2"])
      let choice = try await rig.services.placement.explain(job.id, caller: rig.buyer).choice
      #expect(choice?.longestRoundTripMilliseconds == 20 && choice?.optimalityGap == 0)
      // What was measured just now is not measured again.
      for rank in 0..<2 { try await rig.end(running, rank, .exited(status: 0)) }
      let next = try await rig.submit(Self.spec)
      _ = try await rig.wait(for: next.id, .running, advancing: .milliseconds(10))
    }
  }

  @Test(
    "where nobody answers, and where a pair cannot be measured, the gang waits no longer than it must"
  )
  func bounded() async throws {
    try await withRig(cpus: [2, 2, 2]) { (rig) async throws in
      try await Self.stale(rig)
      let job = try await rig.submit(Self.spec)
      let before = rig.time.now
      let running = try await rig.wait(for: job.id, .running, advancing: .seconds(1))
      #expect(Set(running.ranks.map(\.nodeName)) == ["node-1", "node-3"])
      let waited = before.duration(to: rig.time.now)
      #expect(waited >= .seconds(20) && waited <= .seconds(60), "\(waited)")
      for rank in 0..<2 { try await rig.end(running, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded, advancing: .milliseconds(10))
      // All probes were lost: that is an answer, too.
      let next = try await rig.submit(Self.spec)
      try await eventually("it waits for measurements") {
        try await rig.status(next.id).reason?.contains("fresh round trips") == true
      }
      _ = try await Self.tell(rig, 0, [(1, nil), (2, nil)])
      _ = try await Self.tell(rig, 1, [(2, nil)])
      try await rig.wait(for: next.id, .running, advancing: .milliseconds(10))
    }
  }

  @Test("what is wanted is bounded, runs out, and goes with its node")
  func book() {
    var book = ProbeBook()
    let ids = (0..<300).map { PeerID(high: 1, low: UInt64($0)) }
    for one in 0..<300 {
      for other in 0..<one {
        book.want(ProbePair(ids[one], ids[other]), until: .seconds(10), now: .zero)
      }
    }
    let asked = ids.reduce(0) { $0 + book.targets(of: $1, count: .max, now: .seconds(1)).count }
    #expect(asked == 2 * ProbeBook.mostPairs)
    #expect(book.targets(of: ids[5], count: 3, now: .seconds(1)) == [ids[0], ids[1], ids[2]])
    book.told(ids[0], of: ids[5], now: .seconds(2))
    #expect(book.targets(of: ids[5], count: 2, now: .seconds(2)) == [ids[1], ids[2]])
    #expect(book.triedAt(ProbePair(ids[5], ids[0])) == .seconds(2))
    #expect(book.triedAt(ProbePair(ids[5], ids[1])) == nil)
    book.forget(ids[1])
    #expect(book.targets(of: ids[5], count: 1, now: .seconds(2)) == [ids[2]])
    #expect(book.targets(of: ids[1], count: 1, now: .seconds(2)).isEmpty)
    #expect(book.targets(of: ids[5], count: 1, now: .seconds(11)).isEmpty)
  }
}
