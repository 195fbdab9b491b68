import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

struct RefusalTests {
  @Test("The funnel counts each GPU once, and reads as people say it")
  func funnel() throws {
    let world = try DeviceWorld([(0, 0, 10), (50, 0, 5)]) { offer, number in
      if number < 3 { offer.deviceMemory = .gibi(24) }
      if number == 3 { offer.verification = .unverified }
    }
    let demand = GangDemand(
      bundles: [
        DeviceWorld.bundle(36) {
          $0.deviceMemory = .gibi(80)
          $0.verification = .verified
        }
      ], strategy: .site(maxRTTMilliseconds: 20))
    let refusal = try #require(world.planner.place(demand).refusal)
    #expect(
      refusal.funnels[0].text
        == "60 GPUs seen: 12 too little memory, 4 not verified, 20 over maxRTT 20 ms, 24 left, 36 needed"
    )
    #expect(
      refusal.relaxations.map(\.words) == [
        "lower the number of bundles to 24", "raise maxRTT to 50 ms",
        "lower device memory to 24 GiB",
      ])
  }

  @Test(
    "Each relaxation that is named would place the gang", arguments: 1...25 as ClosedRange<UInt64>)
  func relaxationsHold(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let sites = (0..<8).map { _ in
      (
        x: Float.random(in: 0...100, using: &random), y: Float(0),
        machines: Int.random(in: 1...3, using: &random)
      )
    }
    var world = try DeviceWorld(sites) { offer, _ in
      offer.deviceMemory = .gibi(UInt64([24, 48, 80].randomElement(using: &random) ?? 24))
      offer.microdollarsPerHour = Int.random(in: 1...4, using: &random) * 500_000
      offer.verification = Bool.random(using: &random) ? .verified : .unverified
    }
    for row in world.inventory.rowRange where Bool.random(using: &random) {
      try world.inventory.take(ResourceSet(gpus: 2), at: row)
    }
    let demand = GangDemand(
      bundles: [
        DeviceWorld.bundle(12) {
          $0.deviceMemory = .gibi(48)
          $0.verification = .verified
          $0.mostMicrodollarsPerHour = 1_500_000
        }
      ], strategy: .site(maxRTTMilliseconds: 30))
    guard let refusal = world.planner.place(demand).refusal else { return }
    for relaxation in refusal.relaxations {
      var changed = demand
      var inventory = world.inventory
      switch relaxation.requirement {
      case nil:
        changed.bundles[0].count = Int(relaxation.words.split(separator: " ").last ?? "") ?? 0
      case .verification: changed.bundles[0].filter.verification = .failed
      case .price:
        // The words round up to cents.
        let dollars = relaxation.words.split(separator: "$").last?.split(separator: " ").first
        changed.bundles[0].filter.mostMicrodollarsPerHour = Int(
          ((Double(dollars ?? "") ?? 0) * 1_000_000).rounded())
      case .deviceMemory: changed.bundles[0].filter.deviceMemory = .gibi(24)
      case .roundTrip:
        let words = relaxation.words.split(separator: " ")
        changed.strategy = .site(maxRTTMilliseconds: Float(words[words.count - 2]) ?? 0)
      case .busy: inventory = inventory.idle
      default: Issue.record("unexpected: \(relaxation)")
      }
      let planner = GangPlanner(inventory, matrix: world.matrix)
      #expect(planner.place(changed).choice != nil, "seed \(seed): \(relaxation.words)")
    }
  }

  @Test("An unknown place leaves nothing, and the remedy says so")
  func unknownPlace() throws {
    let world = try DeviceWorld([(0, 0, 2)])
    let demand = GangDemand(
      bundles: [DeviceWorld.bundle(4) { $0.countries = ["Atlantis"] }], strategy: .pack)
    let refusal = try #require(world.planner.place(demand).refusal)
    #expect(refusal.funnels[0].left == 0)
    #expect(refusal.relaxations.map(\.words) == ["allow other places"])
  }
}
