import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Which gangs are taken back, on nodes")
struct PreemptionSearchTests {
  private struct World {
    var offers: [NodeOffer]
    var candidates: [PreemptionSearch.Candidate]
    var request: GangRequest
  }

  private func node(_ number: Int) -> PeerID { PeerID(high: 1, low: UInt64(number)) }

  private func world(seed: UInt64) -> World {
    var random = SplitMix(seed: seed)
    var offers = (0..<4).map { number in
      NodeOffer(
        node: node(number), name: "n\(number)",
        capacity: ResourceSet(milliCPUs: Int.random(in: 2...6, using: &random) * 1000), gpus: [],
        used: ResourceSet(), usedGPUs: [], isPlaceable: true)
    }
    var candidates: [PreemptionSearch.Candidate] = []
    for id in 0..<6 {
      let each = ResourceSet(milliCPUs: 1000)
      let places = (0..<Int.random(in: 1...3, using: &random)).compactMap {
        _ -> PreemptionSearch.Place? in
        let row = Int.random(in: 0..<4, using: &random)
        guard offers[row].capacity.milliCPUs >= offers[row].used.milliCPUs + 1000 else {
          return nil
        }
        offers[row].used = offers[row].used + each
        return PreemptionSearch.Place(node: node(row), gpuIndices: [])
      }
      candidates.append(
        .init(
          id: id, resources: each, places: places,
          cost: Double(Int.random(in: 1...20, using: &random))))
    }
    let strategies: [GangStrategy] = [.spread, .pack, .strictPack, .strictSpread]
    let request = GangRequest(
      ranks: Int.random(in: 1...4, using: &random),
      resources: ResourceSet(milliCPUs: Int.random(in: 1...3, using: &random) * 1000),
      placement: strategies[Int.random(in: 0..<4, using: &random)])
    return World(offers: offers, candidates: candidates, request: request)
  }

  private func fits(_ world: World, without set: Int) -> Bool {
    var offers = world.offers
    for (index, candidate) in world.candidates.enumerated() where set & 1 << index != 0 {
      for place in candidate.places {
        for row in offers.indices where offers[row].node == place.node {
          offers[row].used = offers[row].used - candidate.resources
        }
      }
    }
    return GangPlacer().fits(world.request, on: offers)
  }

  @Test("the cheapest set is taken back: as by trying all of them", arguments: 0..<150)
  func cheapest(seed: UInt64) throws {
    let world = world(seed: seed)
    // Where there is room already nobody is asked.
    guard !fits(world, without: 0) else { return }
    var best: Double?
    for set in 1..<64 where fits(world, without: set) {
      let cost = world.candidates.indices.reduce(0.0) {
        set & 1 << $1 != 0 ? $0 + world.candidates[$1].cost : $0
      }
      best = min(best ?? .infinity, cost)
    }
    let found = PreemptionSearch(world.request, on: world.offers, by: GangPlacer())
      .cheapest(world.candidates)
    #expect(found?.cost == best)
    if let found {
      #expect(fits(world, without: found.victims.reduce(0) { $0 | 1 << $1 }))
    }
  }

  @Test("costs that are none are never paid", arguments: [-1, Double.nan, .infinity])
  func badCosts(cost: Double) {
    let offer = NodeOffer(
      node: node(0), name: "n", capacity: ResourceSet(milliCPUs: 1000), gpus: [],
      used: ResourceSet(milliCPUs: 1000), usedGPUs: [], isPlaceable: true)
    let candidate = PreemptionSearch.Candidate(
      id: 0, resources: ResourceSet(milliCPUs: 1000),
      places: [.init(node: node(0), gpuIndices: [])],
      cost: cost)
    let request = GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: 1000))
    let search = PreemptionSearch(request, on: [offer], by: GangPlacer())
    #expect(search.cheapest([candidate]) == nil)
  }
}

/// SplitMix64: a generator that a seed fixes.
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
