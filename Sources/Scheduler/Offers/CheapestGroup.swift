internal import IorunCore

/// The cheapest group within a round trip, by growth from cheap sites: each time the site with the
/// cheapest device of those that are near all sites so far, until there are devices enough to choose
/// from. Greedy: good, not proved.
struct CheapestGroup {
  private static let mostStarts = 48

  private let planner: GangPlanner
  private let demand: GangDemand
  private let fill: BundleFill
  /// Each site's devices, the cheapest first, with their place in the order of all.
  private let rows: [Int: [(rank: Int, row: Int)]]
  private let slots: [Int: Int]
  /// Sites by their cheapest device.
  private let byPrice: [Int]
  private let eligible: Int

  init(planner: GangPlanner, demand: GangDemand) {
    self.planner = planner
    self.demand = demand
    let prepared = planner.prepare(demand)
    fill = prepared.fill
    eligible = prepared.rows.count
    var rows: [Int: [(rank: Int, row: Int)]] = [:]
    var slots: [Int: Int] = [:]
    var byPrice: [Int] = []
    for (rank, row) in planner.ordered(prepared.rows).enumerated() {
      let site = Int(planner.inventory.sites[row])
      guard site >= 0, site < planner.matrix.count else { continue }
      if rows[site] == nil { byPrice.append(site) }
      rows[site, default: []].append((rank, row))
      slots[site, default: 0] += prepared.slots(row)
    }
    (self.rows, self.slots, self.byPrice) = (rows, slots, byPrice)
  }

  /// The cheapest that was found; `nil` where none was.
  func find(within bound: Float, lowerBound: Float) -> GangChoice? {
    var best: GangChoice?
    for start in byPrice.prefix(Self.mostStarts) {
      guard let choice = grow(from: start, within: bound, lowerBound: lowerBound) else { continue }
      if choice.microdollarsPerHour < best?.microdollarsPerHour ?? .max { best = choice }
    }
    return best
  }

  private func grow(from start: Int, within bound: Float, lowerBound: Float) -> GangChoice? {
    let wanted = 2 * (demand.count + demand.spares)
    var group = [start]
    var room = slots[start, default: 0]
    for site in byPrice where site != start && room < wanted {
      guard group.allSatisfy({ planner.matrix[$0, site] <= bound }) else { continue }
      group.append(site)
      room += slots[site, default: 0]
    }
    let rows = group.flatMap { self.rows[$0] ?? [] }.sorted { $0.rank < $1.rank }.map(\.row)
    for spares in demand.spares > 0 ? [demand.spares, 0] : [0] {
      guard let found = fill.fill(rows, .inOrder, spares: spares) else { continue }
      return planner.choice(
        demand, (found.members, found.spares, lowerBound), demand.strategy, fallback: 0,
        eligible: eligible)
    }
    return nil
  }
}
