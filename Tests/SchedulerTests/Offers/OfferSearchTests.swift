import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

struct OfferSearchTests {
  @Test("Nearer costs more: the offers show both ends and what lies between")
  func tradeOff() throws {
    // A dear site that holds all, cheaper ones further away.
    let world = try DeviceWorld([
      (0, 0, 4), (10, 0, 2), (30, 0, 2), (90, 0, 2), (130, 0, 2),
    ]) { offer, number in
      offer.microdollarsPerHour = number < 4 ? 4_000_000 : number < 8 ? 2_000_000 : 1_000_000
    }
    let demand = GangDemand(bundles: [DeviceWorld.bundle(16)], strategy: .closest)
    let offers = OfferSearch(world.planner).offers(demand)
    #expect(offers.count >= 3)
    #expect(offers.first?.choice.microdollarsPerHour == 16_000_000)
    #expect(offers.first?.choice.sites == [3, 4])
    #expect(offers.last?.choice.sites == [0])
  }

  @Test("No offer is worse than another in everything", arguments: 1...10 as ClosedRange<UInt64>)
  func pareto(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let sites = (0..<15).map { _ in
      (
        x: Float.random(in: 0...100, using: &random), y: Float.random(in: 0...100, using: &random),
        machines: Int.random(in: 1...3, using: &random)
      )
    }
    let world = try DeviceWorld(sites) { offer, _ in
      offer.microdollarsPerHour = Int.random(in: 500_000...4_000_000, using: &random)
      offer.reliability = .random(in: 0.9...1, using: &random)
    }
    let demand = GangDemand(bundles: [DeviceWorld.bundle(14)], strategy: .closest)
    let offers = OfferSearch(world.planner).offers(demand).map(\.choice)
    #expect((1...OfferSearch.most).contains(offers.count), "seed \(seed)")
    for (index, one) in offers.enumerated() {
      #expect(one.members.count == 14)
      for (place, other) in offers.enumerated() where place != index {
        #expect(
          one.microdollarsPerHour < other.microdollarsPerHour
            || one.maxRTTMilliseconds < other.maxRTTMilliseconds
            || one.reliability > other.reliability, "seed \(seed)")
      }
    }
    let fastest = world.planner.place(demand).choice?.maxRTTMilliseconds
    #expect(offers.map(\.maxRTTMilliseconds).min() == fastest)
  }

  @Test("Where nothing fits there are no offers")
  func none() throws {
    let world = try DeviceWorld([(0, 0, 1)])
    let offers = OfferSearch(world.planner)
    #expect(offers.offers(GangDemand(bundles: [DeviceWorld.bundle(5)], strategy: .closest)).isEmpty)
    #expect(offers.offers(GangDemand(bundles: [], strategy: .closest)).isEmpty)
  }
}
