import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Which leases are taken back")
struct PreemptionPlanTests {
  private func gpus(_ count: Double) -> QueueDemand {
    QueueDemand(amounts: SIMD4(count, 0, 0, 0))
  }

  @Test(
    "the cover is enough, has nobody in vain and costs at most twice the least", arguments: 1...200)
  func cover(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let candidates = (0..<10).map { id in
      PreemptionPlan.Candidate(
        id: id, demand: gpus(Double(Int.random(in: 1...8, using: &random))),
        cost: Double(Int.random(in: 1...100, using: &random)))
    }
    let wanted = Double(Int.random(in: 1...40, using: &random))
    let free = Double(Int.random(in: 0..<Int(wanted), using: &random))
    var least = Double.infinity
    for set in 0..<(1 << candidates.count) {
      let chosen = candidates.filter { set >> $0.id & 1 == 1 }
      guard chosen.reduce(free, { $0 + $1.demand.gpus }) >= wanted else { continue }
      least = min(least, chosen.reduce(0) { $0 + $1.cost })
    }
    let plan = PreemptionPlan.cheapest(
      for: gpus(wanted), free: gpus(free), candidates: candidates)
    guard let plan else {
      #expect(least == .infinity)
      return
    }
    let victims = candidates.filter { plan.victims.contains($0.id) }
    let room = victims.reduce(free) { $0 + $1.demand.gpus }
    #expect(room >= wanted)
    for victim in victims { #expect(room - victim.demand.gpus < wanted) }
    #expect(plan.cost == victims.reduce(0) { $0 + $1.cost })
    #expect(plan.cost <= 2 * least)
  }

  @Test("costs that are none are never chosen")
  func hostile() {
    let candidates = [-1, Double.nan, .infinity].enumerated().map {
      PreemptionPlan.Candidate(id: $0, demand: gpus(9), cost: $1)
    }
    #expect(PreemptionPlan.cheapest(for: gpus(1), free: .zero, candidates: candidates) == nil)
  }
}
