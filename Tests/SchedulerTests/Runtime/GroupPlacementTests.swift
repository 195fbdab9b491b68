import IorunCore
import IorunScheduler
import TestSupport
import Testing

@Suite("Placement of bundles")
struct GroupPlacementTests {
  private func nodes(
    _ cpus: [Double], _ strategy: GroupPlacement.Strategy, on nodes: [RuntimeNode],
    fixed: [NodeID?] = []
  ) -> [Int]? {
    let request = GroupPlacement.Request(
      bundles: cpus.map { .cpus($0) }, strategy: strategy, fixed: fixed)
    guard case .place(let placed) = GroupPlacement().place(request, on: nodes) else { return nil }
    return placed.map { Int($0.low) }
  }

  private let three = [
    RuntimeNode.sample(1, cpus: 4), .sample(2, cpus: 4), .sample(3, cpus: 4),
  ]

  @Test("PACK uses one node where one is enough, and few where not")
  func pack() {
    #expect(Set(nodes([1, 1, 2], .pack, on: three) ?? []).count == 1)
    #expect(Set(nodes([3, 1, 3, 1], .pack, on: three) ?? []).count == 2)
  }

  @Test("SPREAD uses as many nodes as it can, and shares them when there are too few")
  func spread() {
    #expect(Set(nodes([1, 1, 1], .spread, on: three) ?? []).count == 3)
    #expect(nodes([1, 1, 1, 1, 1], .spread, on: three).map { Set($0).count } == 3)
  }

  @Test("STRICT_PACK takes one node or none")
  func strictPack() {
    #expect(Set(nodes([2, 2], .strictPack, on: three) ?? []).count == 1)
    #expect(nodes([3, 2], .strictPack, on: three) == nil)
  }

  @Test("STRICT_SPREAD finds the one way there is")
  func strictSpread() {
    let uneven = [RuntimeNode.sample(1, cpus: 8), .sample(2, cpus: 4), .sample(3, cpus: 1)]
    #expect(nodes([1, 8, 4], .strictSpread, on: uneven) == [3, 1, 2])
    #expect(nodes([1, 1, 1, 1], .strictSpread, on: uneven) == nil)
  }

  @Test(
    "SITE keeps nodes within a round trip of each other, which is the sum of theirs to the head")
  func site() {
    let near = [
      RuntimeNode.sample(1, cpus: 2, roundTrip: 1), .sample(2, cpus: 2, roundTrip: 2),
      .sample(3, cpus: 8, roundTrip: 40),
    ]
    #expect(
      nodes([2, 2], .site(maxRoundTripMilliseconds: 3), on: near).map(Set.init) == [1, 2])
    // One node is within no time of itself.
    #expect(nodes([4, 4], .site(maxRoundTripMilliseconds: 3), on: near) == [3, 3])
    #expect(nodes([8, 2], .site(maxRoundTripMilliseconds: 3), on: near) == nil)
    #expect(
      nodes([8, 2], .site(maxRoundTripMilliseconds: 41), on: near) == [3, 1])
  }

  @Test("bundles that stand keep their node")
  func fixed() {
    let kept = three[1].node
    #expect(nodes([1, 1], .strictSpread, on: three, fixed: [nil, kept]).map { $0[1] } == 2)
    #expect(nodes([1, 1], .strictPack, on: three, fixed: [nil, kept]) == [2, 2])
  }

  @Test("a group that never fits says what is in the way")
  func explains() {
    func reason(_ cpus: [Double], _ strategy: GroupPlacement.Strategy) -> String {
      let request = GroupPlacement.Request(bundles: cpus.map { .cpus($0) }, strategy: strategy)
      guard case .infeasible(let reason) = GroupPlacement().place(request, on: three) else {
        return "it was not refused"
      }
      return reason
    }
    #expect(reason([8], .pack).contains("bundle 0 (8 CPU) fits on no node"))
    #expect(reason([1, 1, 1, 1], .strictSpread).contains("ask for at most 3"))
    #expect(reason([3, 3], .strictPack).contains("(6 CPU) fit on no node"))
    #expect(reason([4, 4, 4, 4], .pack).contains("together they are too small for all 4 bundles"))
  }

  @Test("whatever the cluster, all bundles have room at once and lie as asked", arguments: 0..<300)
  func property(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let cluster = RuntimeNode.random(using: &random)
    let strategies: [GroupPlacement.Strategy] = [
      .pack, .spread, .strictPack, .strictSpread, .site(maxRoundTripMilliseconds: 30),
    ]
    let request = GroupPlacement.Request(
      bundles: (0..<Int.random(in: 1...5, using: &random)).map { _ in
        ResourceAmounts.random(using: &random)
      },
      strategy: strategies.randomElement(using: &random) ?? .pack)
    guard case .place(let placed) = GroupPlacement().place(request, on: cluster) else { return }
    #expect(placed.count == request.bundles.count)
    var needed: [NodeID: ResourceAmounts] = [:]
    for (node, bundle) in zip(placed, request.bundles) { needed[node, default: .init()] += bundle }
    for (node, amounts) in needed {
      let found = cluster.first { $0.node == node }
      #expect(found?.isPlaceable == true && found?.available.covers(amounts) == true)
    }
    switch request.strategy {
    case .strictPack: #expect(Set(placed).count == 1)
    case .strictSpread: #expect(Set(placed).count == placed.count)
    case .site(let limit):
      let trips = cluster.filter { needed[$0.node] != nil }.compactMap(\.roundTripMilliseconds)
      if trips.count > 1 { #expect(trips.sorted().suffix(2).reduce(0, +) <= limit) }
    case .pack, .spread: break
    }
  }
}
