import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

struct GangPlannerTests {
  /// Three cities of 2, 4 and 3 machines of four GPUs; the last two are 6 ms apart.
  private static func world(_ change: (inout DeviceOffer, Int) -> Void = { _, _ in }) throws
    -> DeviceWorld
  {
    try DeviceWorld([(0, 0, 2), (40, 0, 4), (46, 0, 3)], change: change)
  }

  @Test("A gang that one site holds lands in one site, the tightest")
  func oneSite() throws {
    let demand = GangDemand(
      bundles: [DeviceWorld.bundle(10)], strategy: .site(maxRTTMilliseconds: 5))
    let choice = try #require(Self.world().planner.place(demand).choice)
    #expect(choice.sites == [2])
    #expect(choice.members.count == 10)
    #expect(choice.maxRTTMilliseconds == 0)
    #expect(choice.optimalityGap == 0)
  }

  @Test("One that needs two sites gets the two that are near, with the proved bound")
  func twoSites() throws {
    let demand = GangDemand(bundles: [DeviceWorld.bundle(20)], strategy: .closest)
    let choice = try #require(Self.world().planner.place(demand).choice)
    #expect(choice.sites == [1, 2])
    #expect(choice.maxRTTMilliseconds == 6)
    #expect(choice.lowerBoundMilliseconds == 6)
  }

  @Test("Fallbacks are tried in their order")
  func fallbacks() throws {
    let demand = GangDemand(
      bundles: [DeviceWorld.bundle(20)], strategy: .strictPack,
      fallbacks: [.site(maxRTTMilliseconds: 5), .site(maxRTTMilliseconds: 7), .spread])
    let choice = try #require(Self.world().planner.place(demand).choice)
    #expect(choice.fallback == 2)
    #expect(choice.strategy == .site(maxRTTMilliseconds: 7))
  }

  @Test("The strategies use as many machines as their names say")
  func strategies() throws {
    let planner = try Self.world().planner
    func machines(_ strategy: GangDemand.Strategy, _ count: Int) -> Int? {
      let demand = GangDemand(bundles: [DeviceWorld.bundle(count)], strategy: strategy)
      return planner.place(demand).choice.map { Set($0.members.map(\.row)).count }
    }
    #expect(machines(.pack, 8) == 2)
    #expect(machines(.spread, 8) == 8)
    #expect(machines(.strictSpread, 9) == 9)
    #expect(machines(.strictSpread, 10) == nil)
    #expect(machines(.spread, 10) == 9)
    #expect(machines(.strictPack, 4) == 1)
    #expect(machines(.strictPack, 5) == nil)
  }

  @Test("No supplier and no country holds more than its limit")
  func limits() throws {
    let demand = GangDemand(
      bundles: [DeviceWorld.bundle(6)], strategy: .closest, limits: .init(perSupplier: 2))
    let choice = try #require(Self.world().planner.place(demand).choice)
    #expect(choice.sites == [0, 1, 2])
    let bySite = Dictionary(grouping: choice.members) { $0.row < 2 ? 0 : $0.row < 6 ? 1 : 2 }
    #expect(bySite.values.allSatisfy { $0.count == 2 })
    var more = demand
    more.bundles = [DeviceWorld.bundle(7)]
    #expect(try Self.world().planner.place(more).refusal != nil)
    more.limits = .init(perCountry: 4)
    #expect(try Self.world().planner.place(more).choice?.sites == [1, 2])
  }

  @Test("Kinds of bundles each get what they ask for, beside each other")
  func kinds() throws {
    let world = try Self.world { offer, number in
      if number == 7 { offer.labels = ["role": "store"] }
    }
    let store = try LabelSelector(["role": "store"])
    let demand = GangDemand(
      bundles: [DeviceWorld.bundle(9), DeviceWorld.bundle(1, gpus: 3) { $0.labels = store }],
      strategy: .closest)
    let choice = try #require(world.planner.place(demand).choice)
    #expect(choice.sites == [2])
    #expect(choice.members.last?.row == 7)
    #expect(choice.members.last?.kind == 1)
    #expect(choice.members.count(where: { $0.row == 7 }) == 2)
  }

  @Test(
    "Spares are machines of their own in the same group; where there are none, the gang still runs")
  func spares() throws {
    let planner = try Self.world().planner
    let demand = GangDemand(
      bundles: [DeviceWorld.bundle(8)], strategy: .site(maxRTTMilliseconds: 5), spares: 1)
    let choice = try #require(planner.place(demand).choice)
    #expect(choice.spares.count == 1)
    #expect(!choice.members.contains { $0.row == choice.spares[0].row })
    var all = demand
    all.bundles = [DeviceWorld.bundle(16)]
    let full = try #require(planner.place(all).choice)
    #expect(full.spares.isEmpty)
    #expect(full.reasons.contains { $0.contains("spares") })
  }

  @Test("Among equally near devices the cheap and certified ones are taken")
  func cheap() throws {
    let world = try DeviceWorld([(0, 0, 4)]) { offer, number in
      offer.microdollarsPerHour = number == 2 ? 1_000_000 : 2_000_000
      offer.security = number == 3 ? [.soc2] : []
    }
    let demand = GangDemand(bundles: [DeviceWorld.bundle(8)], strategy: .closest)
    let choice = try #require(world.planner.place(demand).choice)
    #expect(Set(choice.members.map(\.row)) == [2, 3])
    #expect(choice.microdollarsPerHour == 4 * 1_000_000 + 4 * 2_000_000)
  }

  @Test("A place in doubt is not a place")
  func doubt() throws {
    var world = try Self.world()
    for row in 2..<6 { world.inventory.locate(row, site: 1, hasDoubtfulPlace: true) }
    let demand = GangDemand(
      bundles: [DeviceWorld.bundle(4) { $0.countries = ["C1"] }], strategy: .pack)
    #expect(world.planner.place(demand).choice == nil)
    #expect(world.planner.place(demand).refusal?.funnels[0].steps.first?.requirement == .place)
  }

  @Test("What cannot be meant is refused with the reason", arguments: 0..<10)
  func senseless(number: Int) throws {
    var demand = GangDemand(bundles: [DeviceWorld.bundle(2)], strategy: .pack)
    switch number {
    case 0: demand.bundles = []
    case 1: demand.bundles[0].count = 0
    case 2: demand.bundles[0].count = .max
    case 3: demand.bundles[0].need.gpus = -1
    case 4: demand.bundles[0].need = ResourceSet()
    case 5: demand.strategy = .site(maxRTTMilliseconds: .nan)
    case 6: demand.spares = -1
    case 7: demand.limits.perSupplier = 0
    case 8: demand.bundles[0].filter.reliability = 2
    default: (demand.strategy, demand.limits.perSupplier) = (.strictPack, 1)
    }
    #expect(try Self.world().planner.place(demand).refusal?.objection != nil)
  }

  @Test(
    "Leases come and go: no device is in two, no gang is partial, and near gangs are near",
    arguments: 1...12 as ClosedRange<UInt64>)
  func property(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let sites = (0..<12).map { _ in
      (
        x: Float.random(in: 0...100, using: &random), y: Float.random(in: 0...100, using: &random),
        machines: Int.random(in: 1...4, using: &random)
      )
    }
    var world = try DeviceWorld(sites)
    var gangs: [(demand: GangDemand, choice: GangChoice)] = []
    for _ in 0..<60 {
      if gangs.count > 5 {
        let ended = gangs.remove(at: Int.random(in: 0..<gangs.count, using: &random))
        for member in ended.choice.members {
          try world.inventory.release(ended.demand.bundles[member.kind].need, at: member.row)
        }
      }
      let limit = Float.random(in: 5...80, using: &random)
      let strategies: [GangDemand.Strategy] = [
        .pack, .spread, .strictPack, .strictSpread, .site(maxRTTMilliseconds: limit), .closest,
      ]
      let demand = GangDemand(
        bundles: (0...Int.random(in: 0...1, using: &random)).map { _ in
          DeviceWorld.bundle(
            Int.random(in: 1...12, using: &random), gpus: Int.random(in: 1...4, using: &random))
        },
        strategy: strategies[Int.random(in: 0..<6, using: &random)],
        limits: .init(perSupplier: Bool.random(using: &random) ? 5 : nil))
      switch world.planner.place(demand) {
      case .placed(let choice):
        #expect(choice.members.count == demand.count, "seed \(seed)")
        // Throws where a device would be given twice.
        for member in choice.members {
          try world.inventory.take(demand.bundles[member.kind].need, at: member.row)
        }
        if case .site(let limit) = choice.strategy { #expect(choice.maxRTTMilliseconds <= limit) }
        #expect(choice.lowerBoundMilliseconds <= choice.maxRTTMilliseconds)
        gangs.append((demand, choice))
      case .refused(let refusal):
        for funnel in refusal.funnels {
          #expect(
            funnel.steps.reduce(0) { $0 + $1.count } + funnel.left == funnel.seen, "seed \(seed)")
        }
      }
    }
  }
}
