/// Which open tails to take back so that a gang fits, at the smallest cost.
///
/// A cover is NP-hard to find. Greedy by cost for each part that is missing; whichever lease would
/// complete the cover is noted as one answer and passed over, and the cheapest answer wins. With one
/// resource that is at most twice the optimum (Csirik et al., 1991, for the minimum knapsack).
public struct PreemptionPlan: Sendable, Hashable {
  /// A lease that may be taken back.
  public struct Candidate: Sendable, Hashable {
    /// Names it.
    public var id: Int
    /// What becomes free.
    public var demand: QueueDemand
    /// What is lost: paid work since the last checkpoint, and the restart, in GPU-seconds.
    public var cost: Double

    /// Describes a lease that may be taken back.
    public init(id: Int, demand: QueueDemand, cost: Double) {
      self.id = id
      self.demand = demand
      self.cost = cost
    }
  }

  /// The leases to take back, ascending.
  public var victims: [Int]
  /// What is lost in all.
  public var cost: Double

  /// The cheapest cover found, or `nil` where all candidates together are not enough.
  ///
  /// - Parameters:
  ///   - free: what is free without any of them.
  ///   - candidates: a cost that is negative or not a number counts as infinite.
  public static func cheapest(
    for demand: QueueDemand, free: QueueDemand, candidates: [Candidate]
  ) -> PreemptionPlan? {
    let usable = candidates.filter { $0.cost >= 0 && $0.cost.isFinite }
    let all = usable.reduce(free.amounts) { $0 + $1.demand.amounts }
    guard demand.fits(in: all) else { return nil }
    // The missing part is one resource nearly always; its order then holds for the whole cover.
    let missing = (demand.amounts - free.amounts).clamped(lowerBound: .zero, upperBound: .greatest)
    let scale = missing.replacing(with: .greatest, where: missing .<= 0)
    let rated = usable.map { candidate in
      let part = candidate.demand.amounts / scale
      return (candidate: candidate, rate: candidate.cost / Swift.max(part.max(), 1e-12))
    }
    .sorted { ($0.rate, $0.candidate.id) < ($1.rate, $1.candidate.id) }
    var begun: [Candidate] = []
    var begunCost = 0.0
    var room = free.amounts
    // How many of `begun`, who completes the cover, and what it costs.
    var best: (count: Int, last: Candidate, cost: Double)?
    for entry in rated {
      let candidate = entry.candidate
      // One that frees nothing of what is still missing is of no use.
      let lacks = demand.amounts .> room
      guard any(lacks .& (candidate.demand.amounts .> 0)) else { continue }
      if demand.fits(in: room + candidate.demand.amounts) {
        // One way to end; a cheaper one may follow, so the search goes on without it.
        let cost = begunCost + candidate.cost
        if best.map({ cost < $0.cost }) ?? true { best = (begun.count, candidate, cost) }
      } else {
        begun.append(candidate)
        begunCost += candidate.cost
        room += candidate.demand.amounts
      }
    }
    guard let best else { return nil }
    let chosen = needed(begun.prefix(best.count) + [best.last], demand, free: free.amounts)
    return PreemptionPlan(
      victims: chosen.map(\.id).sorted(), cost: chosen.reduce(0) { $0 + $1.cost })
  }

  /// Without those that turned out not to be needed, dearest first.
  private static func needed(
    _ cover: [Candidate], _ demand: QueueDemand, free: SIMD4<Double>
  ) -> [Candidate] {
    var chosen = cover
    var room = cover.reduce(free) { $0 + $1.demand.amounts }
    for candidate in cover.sorted(by: { ($0.cost, $0.id) > ($1.cost, $1.id) })
    where demand.fits(in: room - candidate.demand.amounts) {
      room -= candidate.demand.amounts
      chosen.removeAll { $0.id == candidate.id }
    }
    return chosen
  }
}
