import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

/// A gang is mended on the inventory as it would be by a look at every node. A failure prints its seed.
@Suite("Gangs that lost nodes, mended on the inventory")
struct NodeMendingTests {
  /// A network, a gang on it that lost nodes, and what its terms bar.
  private struct World {
    var inventory: NodeInventory
    var gang: GangMending
    var barred: Set<PeerID>
    var random: SeededGenerator

    init(seed: UInt64, nodes count: Int, homelessPerTen: Int) {
      var random = SeededGenerator(seed: seed)
      let offers = (0..<count).map { index in
        var offer = RandomCluster.offer(index, using: &random)
        offer.name = "n\(Int.random(in: 0..<count, using: &random))"
        offer.supplier = "s\(Int.random(in: 0..<4, using: &random))"
        offer.region = "r\(Int.random(in: 0..<3, using: &random))"
        return offer
      }
      var packing: PackingScore?
      if Bool.random(using: &random) {
        var history = PackingHistory()
        for gpus in 0..<3 {
          history.accepted(
            ranks: 1 + gpus, of: ResourceSet(milliCPUs: 1000 * max(1, gpus), gpus: gpus),
            gpuModel: nil)
        }
        packing = PackingScore(history, models: Set(offers.flatMap { $0.gpus.map(\.model) }))
      }
      inventory = NodeInventory(offers, packing: packing)
      barred = Set(offers.map(\.node).filter { _ in Int.random(in: 0..<9, using: &random) == 0 })
      self.random = random
      gang = GangMending(
        request: GangRequest(ranks: 1, resources: ResourceSet()), seats: [], lostNodes: [])
      setSites(homelessPerTen: homelessPerTen)
      setGang()
    }

    mutating func setSites(homelessPerTen: Int) {
      let count = 7
      var values = [Float](repeating: 0, count: count * count)
      for index in values.indices {
        // Some are not known.
        values[index] =
          Int.random(in: 0..<9, using: &random) == 0 ? 0 : Float.random(in: 1...60, using: &random)
      }
      var siteOf: [PeerID: Int] = [:]
      for offer in inventory.offers
      where Int.random(in: 0..<10, using: &random) >= homelessPerTen {
        siteOf[offer.node] = Int.random(in: 0..<count, using: &random)
      }
      inventory.sites = NodeSites(
        siteOf: siteOf, matrix: LatencyMatrix(count: count, milliseconds: values))
    }

    mutating func setGang() {
      var request = RandomCluster(seed: UInt64.random(in: 1...60, using: &random)).request
      request.ranks = Int.random(in: 2...9, using: &random)
      request.placement =
        [.spread, .pack, .strictSpread, .strictPack, .site(maxRoundTripMilliseconds: 40)]
        .randomElement(using: &random) ?? .spread
      if Int.random(in: 0..<3, using: &random) == 0 {
        request.limits = GangDemand.Limits(perSupplier: 4, perCountry: 5)
      }
      let nodes = inventory.offers.filter(\.isPlaceable).map(\.node).shuffled(using: &random)
      var seats: [GangMending.Seat] = []
      var lost: [PeerID] = []
      for rank in 0..<request.ranks {
        // Few nodes, so that some have several ranks, or some that are lost beside some that are not.
        let node = nodes[Int.random(in: 0..<min(6, nodes.count), using: &random)]
        if Int.random(in: 0..<3, using: &random) == 0 {
          if !lost.contains(node) { lost.append(node) }
        } else {
          seats.append(GangMending.Seat(rank: rank, node: node, gpuIndices: [rank % 4]))
        }
      }
      for node in nodes.prefix(Int.random(in: 0...9, using: &random)).suffix(3) {
        seats.append(GangMending.Seat(rank: nil, node: node, gpuIndices: [0]))
      }
      gang = GangMending(
        request: request, seats: seats, lostNodes: lost,
        maxRTTMilliseconds: [Float.infinity, 30, 45, 70].randomElement(using: &random) ?? 30,
        onLoss: PlacementTerms.OnLoss.allCases.randomElement(using: &random),
        leastRanks: Int.random(in: 1...3, using: &random))
    }

    /// Something happens that the kept part of the inventory has to notice.
    mutating func change() {
      let offers = inventory.offers
      guard let offer = offers.randomElement(using: &random) else { return }
      switch Int.random(in: 0..<4, using: &random) {
      case 0: inventory.update([], removing: [offer.node])
      case 1:
        var joined = RandomCluster.offer(offers.count + 1000, using: &random)
        joined.name = "n0"
        inventory.update([joined])
      case 2: setSites(homelessPerTen: 2)
      default: inventory.take(ResourceSet(milliCPUs: 1000), gpus: [0], on: offer.node)
      }
    }

    mutating func decide() -> (found: GangMending.Outcome?, expected: GangMending.Outcome?) {
      let barred = barred
      var reference = MendingReference(gang, on: inventory, barred: barred)
      let found = inventory.mend(gang, terms: 1) { barred.contains($0.node) }
      return (found, reference.outcome())
    }
  }

  @Test("the answer is that of a look at every node, after any changes")
  func sameAnswers() {
    var counts: [String: Int] = [:]
    for seed in UInt64(1)...400 {
      var world = World(
        seed: seed, nodes: 8 + Int(seed % 30), homelessPerTen: [0, 1, 3, 10][Int(seed % 4)])
      for step in 0..<8 {
        let (found, expected) = world.decide()
        #expect(found == expected, "seed \(seed), step \(step)")
        switch found {
        case .mended(_, _, nil): counts["mended", default: 0] += 1
        case .mended: counts["degraded", default: 0] += 1
        case .shrunk: counts["shrunk", default: 0] += 1
        case nil: counts["none", default: 0] += 1
        }
        world.change()
        if world.inventory.offers.contains(where: \.isPlaceable) { world.setGang() }
      }
    }
    // Each kind of answer was compared.
    for (kind, least) in [("mended", 500), ("degraded", 5), ("shrunk", 50), ("none", 500)] {
      #expect(counts[kind, default: 0] >= least, "\(kind): \(counts)")
    }
  }

  @Test("of more nodes of no known site than are looked at, the same ones count")
  func manyHomeless() {
    var mended = 0
    for seed in UInt64(1)...8 {
      var world = World(seed: seed, nodes: 520, homelessPerTen: 9)
      // Room begins shortly before the last node that is looked at.
      for offer in world.inventory.offers where offer.node < PeerID(high: 350, low: 0) {
        world.inventory.setUsed(offer.capacity, gpus: Set(offer.gpus.indices), on: offer.node)
      }
      for step in 0..<4 {
        world.gang.maxRTTMilliseconds = .infinity
        let (found, expected) = world.decide()
        #expect(found == expected, "seed \(seed), step \(step)")
        if case .mended = found { mended += 1 }
        world.setGang()
      }
    }
    #expect(mended > 3)
  }
}
