/// Which open tails to take back so that a gang fits, at the smallest cost.
///
/// A cover by several resources is NP-hard. Greedy by cost for each part that is still missing, then
/// without those that turned out not to be needed; a single lease that covers all alone is taken
/// where it is cheaper. With one resource that is at most twice the optimum (the classic bound for
/// minimum knapsack), and nearly always the optimum.
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
    var chosen: [Candidate] = []
    var room = free.amounts
    for entry in rated {
      if demand.fits(in: room) { break }
      // One that frees nothing of what is still missing is of no use.
      let lacks = demand.amounts .> room
      guard any(lacks .& (entry.candidate.demand.amounts .> 0)) else { continue }
      chosen.append(entry.candidate)
      room += entry.candidate.demand.amounts
    }
    guard demand.fits(in: room) else { return nil }
    for candidate in chosen.sorted(by: { ($0.cost, $0.id) > ($1.cost, $1.id) })
    where demand.fits(in: room - candidate.demand.amounts) {
      room -= candidate.demand.amounts
      chosen.removeAll { $0.id == candidate.id }
    }
    let cost = chosen.reduce(0) { $0 + $1.cost }
    let single = usable.filter { demand.fits(in: free.amounts + $0.demand.amounts) }
      .min { ($0.cost, $0.id) < ($1.cost, $1.id) }
    if let single, single.cost < cost {
      return PreemptionPlan(victims: [single.id], cost: single.cost)
    }
    return PreemptionPlan(victims: chosen.map(\.id).sorted(), cost: cost)
  }
}
