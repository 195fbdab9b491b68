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
    let offers = OfferSearch(world.planner).offers(demand).filter { !$0.isDominated }.map(\.choice)
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

  @Test("Where one choice beats all others, the next best stand beside it, marked")
  func alternatives() throws {
    // Each site is dearer, further and less reliable than the one before.
    let world = try DeviceWorld([(0, 0, 1), (50, 0, 1), (200, 0, 1), (500, 0, 1)]) {
      offer, number in
      offer.microdollarsPerHour = 1_000_000 * (number + 1)
      offer.reliability = 0.99 - 0.1 * Double(number)
    }
    let one = OfferSearch(world.planner).offers(
      GangDemand(bundles: [DeviceWorld.bundle(4)], strategy: .closest))
    #expect(one.map(\.isDominated) == [false, true, true])
    #expect(one.map(\.choice.sites) == [[0], [1], [2]])
    #expect(one[1].words.contains("beaten"))
    let two = OfferSearch(world.planner).offers(
      GangDemand(bundles: [DeviceWorld.bundle(8)], strategy: .closest))
    #expect(two.map(\.isDominated) == [false, true, true])
    #expect(two.first?.choice.sites == [0, 1])
    #expect(Set(two.map(\.choice.sites)).count == 3)
  }

  @Test("What is as good on other devices is told so, and there are no more offers than choices")
  func equals() throws {
    let world = try DeviceWorld([(0, 0, 2)])
    let demand = GangDemand(bundles: [DeviceWorld.bundle(4)], strategy: .closest)
    let offers = OfferSearch(world.planner).offers(demand)
    #expect(offers.count == 2)
    #expect(offers.allSatisfy { !$0.isDominated })
    #expect(offers.last?.words.contains("as good") == true)
    let all = GangDemand(bundles: [DeviceWorld.bundle(8)], strategy: .closest)
    #expect(OfferSearch(world.planner).offers(all).count == 1)
  }

  @Test(
    "Three offers or more wherever there are three sets of devices",
    arguments: 1...10 as ClosedRange<UInt64>)
  func atLeastThree(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let sites = (0..<6).map { _ in
      (
        x: Float.random(in: 0...100, using: &random), y: Float.random(in: 0...100, using: &random),
        machines: Int.random(in: 1...3, using: &random)
      )
    }
    let world = try DeviceWorld(sites) { offer, _ in
      offer.microdollarsPerHour = Int.random(in: 500_000...4_000_000, using: &random)
      offer.reliability = .random(in: 0.9...1, using: &random)
    }
    for strategy in [GangDemand.Strategy.closest, .pack, .spread, .strictPack] {
      let offers = OfferSearch(world.planner).offers(
        GangDemand(bundles: [DeviceWorld.bundle(4)], strategy: strategy))
      #expect((3...8).contains(offers.count), "seed \(seed), \(strategy)")
      let sets = Set(offers.map { $0.choice.members.map(\.device).sorted() })
      #expect(sets.count == offers.count, "seed \(seed), \(strategy)")
    }
  }

  @Test("Where nothing fits there are no offers")
  func none() throws {
    let world = try DeviceWorld([(0, 0, 1)])
    let offers = OfferSearch(world.planner)
    #expect(offers.offers(GangDemand(bundles: [DeviceWorld.bundle(5)], strategy: .closest)).isEmpty)
    #expect(offers.offers(GangDemand(bundles: [], strategy: .closest)).isEmpty)
  }
}
