import IorunCore
import Testing

@testable import IorunScheduler

@Suite("Ranks apart over suppliers and regions")
struct SpreadQuotasTests {
  private func offer(_ number: Int, _ supplier: String, _ region: String, cores: Int = 4)
    -> NodeOffer
  {
    NodeOffer(
      node: PeerID(high: 1, low: UInt64(number)), name: "n\(number)",
      capacity: ResourceSet(milliCPUs: cores * 1000), gpus: [], used: ResourceSet(), usedGPUs: [],
      isPlaceable: true, supplier: supplier, region: region)
  }

  private func request(
    _ ranks: Int, perSupplier: Int? = nil, perRegion: Int? = nil,
    _ placement: GangStrategy = .spread
  ) -> GangRequest {
    GangRequest(
      ranks: ranks, resources: ResourceSet(milliCPUs: 1000), placement: placement,
      limits: .init(perSupplier: perSupplier, perCountry: perRegion))
  }

  @Test(
    "no supplier and no region gets more than it may, whatever the strategy",
    arguments: [GangStrategy.spread, .pack, .strictSpread])
  func limits(placement: GangStrategy) throws {
    let offers = [
      offer(1, "a", "eu"), offer(2, "a", "us"), offer(3, "b", "eu"), offer(4, "c", "us"),
    ]
    let wanted = request(3, perSupplier: 1, perRegion: 2, placement)
    guard case .placed(let placed) = GangPlacer().place(wanted, on: offers) else {
      Issue.record("it was not placed")
      return
    }
    let rows = placed.members.map { member in offers.first { $0.node == member.node } }
    #expect(Set(rows.map { $0?.supplier }).count == 3)
    #expect(Dictionary(grouping: rows, by: { $0?.region }).values.allSatisfy { $0.count <= 2 })
  }

  @Test("taking in order would end in a corner: the shares of both are found together")
  func corner() {
    // a alone is in us; in order, a would take eu, and b would find no place.
    let offers = [offer(1, "a", "eu", cores: 9), offer(2, "a", "us"), offer(3, "b", "eu")]
    #expect(GangPlacer().fits(request(2, perSupplier: 1, perRegion: 1), on: offers))
    #expect(!GangPlacer().fits(request(3, perSupplier: 1, perRegion: 1), on: offers))
  }

  @Test("as many as trying all ways finds", arguments: 0..<60)
  func exact(seed: Int) {
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
    func next(_ most: UInt64) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % most)
    }
    let offers = (0..<5).map { number in
      offer(number, ["a", "b", "c"][next(3)], ["eu", "us"][next(2)], cores: 1 + next(3))
    }
    let (perSupplier, perRegion) = (1 + next(3), 1 + next(3))
    func most(_ index: Int, _ suppliers: [String: Int], _ regions: [String: Int]) -> Int {
      guard index < offers.count else { return suppliers.values.reduce(0, +) }
      let offer = offers[index]
      var best = 0
      for count in 0...offer.capacity.milliCPUs / 1000 {
        var (suppliers, regions) = (suppliers, regions)
        suppliers[offer.supplier, default: 0] += count
        regions[offer.region, default: 0] += count
        guard suppliers[offer.supplier, default: 0] <= perSupplier,
          regions[offer.region, default: 0] <= perRegion
        else { break }
        best = max(best, most(index + 1, suppliers, regions))
      }
      return best
    }
    let best = most(0, [:], [:])
    let placer = GangPlacer()
    let fits = placer.fits(
      request(best, perSupplier: perSupplier, perRegion: perRegion), on: offers)
    #expect(fits || best == 0)
    #expect(
      !placer.fits(request(best + 1, perSupplier: perSupplier, perRegion: perRegion), on: offers))
  }

  @Test("a refusal says how many would do, and each barred node is counted at its term")
  func refusal() {
    let offers = [offer(1, "a", "eu"), offer(2, "a", "us"), offer(3, "b", "eu")]
    var wanted = request(3, perSupplier: 1)
    guard case .refused(let refusal) = GangPlacer().place(wanted, on: offers) else {
      Issue.record("it was placed")
      return
    }
    #expect(refusal.explanation.contains("at most 2 of the 3 ranks"), "\(refusal.explanation)")
    #expect(!refusal.fitsWhenIdle)
    wanted = request(9)
    wanted.barred = [offers[0].node: "not region=us", offers[2].node: "not region=us"]
    guard case .refused(let funnel) = GangPlacer().place(wanted, on: offers) else {
      Issue.record("it was placed")
      return
    }
    #expect(
      funnel.explanation.hasPrefix("3 nodes seen: 2 not region=us, 1 has room for 4 of the 9"))
  }

  @Test("strategies are tried in order")
  func fallbacks() {
    let offers = [offer(1, "a", "eu", cores: 2), offer(2, "b", "us", cores: 2)]
    var wanted = request(4, .strictPack)
    #expect(!GangPlacer().fits(wanted, on: offers))
    wanted.fallbacks = [.strictSpread, .pack]
    guard case .placed(let placed) = GangPlacer().place(wanted, on: offers) else {
      Issue.record("it was not placed")
      return
    }
    #expect(placed.fallback == 2)
    wanted.fallbacks = [.site(maxRoundTripMilliseconds: -1)]
    #expect(!GangPlacer().fits(wanted, on: offers))
  }
}
