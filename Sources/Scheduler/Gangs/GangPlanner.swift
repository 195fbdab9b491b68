internal import IorunCore

/// Finds devices for whole gangs in an inventory: by strategy and fallbacks, within anti-affinity, with
/// spares, and says why these or why none. Reserves nothing. Same input, same answer.
public struct GangPlanner: Sendable {
  let inventory: DeviceInventory
  let matrix: LatencyMatrix
  /// How many branches the search for close sites may look at.
  let steps: Int

  /// - Parameters:
  ///   - matrix: round trips between the sites that the inventory's devices are in.
  ///   - steps: the budget of the exact search for close groups; beyond it the gap is reported.
  public init(_ inventory: DeviceInventory, matrix: LatencyMatrix, steps: Int = 100_000) {
    self.inventory = inventory
    self.matrix = matrix
    self.steps = steps
  }

  /// Places a gang, or says why not and what would help.
  public func place(_ demand: GangDemand) -> GangOutcome {
    if let objection = demand.objection {
      return .refused(GangRefusal(objection: objection, funnels: [], relaxations: []))
    }
    if let choice = find(demand) { return .placed(choice) }
    return .refused(RefusalSearch(planner: self, demand: demand).refusal)
  }

  /// Places a gang; `nil` where it does not fit. The demand must be sensible.
  func find(_ demand: GangDemand) -> GangChoice? {
    let prepared = prepare(demand)
    for (index, strategy) in ([demand.strategy] + demand.fallbacks).enumerated() {
      // With the spares, and else without: a gang that runs is worth more than one that waits.
      for spares in demand.spares > 0 ? [demand.spares, 0] : [0] {
        guard let found = find(strategy, prepared.fill, prepared.rows, spares) else { continue }
        return choice(demand, found, strategy, fallback: index, eligible: prepared.rows.count)
      }
    }
    return nil
  }

  /// What every search for a demand begins with.
  struct Prepared {
    var fill: BundleFill
    /// The rows that any kind of bundle may use, ascending.
    var rows: [Int]

    /// How many bundles of any kind have room at most.
    func slots(_ row: Int) -> Int {
      fill.scans.reduce(0) { $0 + ($1.misses[row] == 0 ? Int($1.slots[row]) : 0) }
    }
  }

  func prepare(_ demand: GangDemand) -> Prepared {
    let scans = demand.bundles.map { DeviceScan(inventory, $0) }
    return Prepared(
      fill: BundleFill(inventory: inventory, demand: demand, scans: scans), rows: eligible(scans))
  }

  /// Places, and the proved bound of their longest round trip.
  typealias Found = (
    members: [GangChoice.Member], spares: [GangChoice.Member], lowerBound: Float
  )

  private func find(
    _ strategy: GangDemand.Strategy, _ fill: BundleFill, _ rows: [Int], _ spares: Int
  ) -> Found? {
    switch strategy {
    case .pack:
      let slots = slots(fill)
      let roomiest = ordered(rows).enumerated().sorted { left, right in
        (-slots[left.element], left.offset) < (-slots[right.element], right.offset)
      }
      return fill.fill(roomiest.map(\.element), .inOrder, spares: spares).map { ($0, $1, 0) }
    case .spread: return fill.fill(ordered(rows), .inTurn, spares: spares).map { ($0, $1, 0) }
    case .strictSpread:
      return fill.fill(ordered(rows), .oneEach, spares: spares).map { ($0, $1, 0) }
    case .strictPack:
      let rows = ordered(rows)
      for row in rows {
        guard let found = fill.fill([row], .inOrder) else { continue }
        guard spares > 0 else { return (found.members, [], 0) }
        let others = rows.filter { $0 != row }
        let kept = fill.spares(spares, others)
        if kept.count == spares { return (found.members, kept, 0) }
        return nil
      }
      return nil
    case .site(let limit): return closest(fill, rows, spares, limit: limit)
    case .closest: return closest(fill, rows, spares, limit: .infinity)
    }
  }

  private func closest(
    _ fill: BundleFill, _ rows: [Int], _ spares: Int, limit: Float
  ) -> Found? {
    let slots = slots(fill)
    let wanted = fill.demand.count + spares
    var capacities = [Int](repeating: 0, count: matrix.count)
    for row in rows {
      let site = Int(inventory.sites[row])
      guard capacities.indices.contains(site) else { continue }
      capacities[site] += min(wanted, slots[row])
    }
    let selector = GroupSelector(matrix, capacities: capacities)
    // Only where room alone decides, every group with enough of it will do.
    let isPlain = fill.isExact && fill.demand.limits == GangDemand.Limits() && spares == 0
    func places(_ group: [Int]) -> (members: [GangChoice.Member], spares: [GangChoice.Member])? {
      let group = Set(group)
      let near = rows.filter { group.contains(Int(inventory.sites[$0])) }
      return fill.fill(ordered(near), .inOrder, spares: spares)
    }
    let outcome = selector.sites(devices: wanted, maxRTTMilliseconds: limit, steps: steps) {
      group in
      isPlain || places(group) != nil
    }
    guard let group = outcome.group, let found = places(group) else { return nil }
    var bound = outcome.lowerBound
    if !isPlain, !fill.isExact || spares > 0 {
      // What was refused on the way may have been refused wrongly: only room alone proves anything.
      bound =
        selector.sites(devices: fill.demand.count, maxRTTMilliseconds: limit, steps: steps) { _ in
          true
        }.lowerBound
    }
    return (found.members, found.spares, bound)
  }

  /// By row, how many bundles of any kind have room at most.
  private func slots(_ fill: BundleFill) -> [Int] {
    inventory.rowRange.map { row in
      fill.scans.reduce(0) { $0 + ($1.misses[row] == 0 ? Int($1.slots[row]) : 0) }
    }
  }

  /// The rows that any kind of bundle may use, ascending.
  private func eligible(_ scans: [DeviceScan]) -> [Int] {
    inventory.rowRange.filter { row in scans.contains { $0.misses[row] == 0 } }
  }

  /// The better rows first: cheap, then certified, then reliable, then with little room, so that whole
  /// machines are left for those who need them.
  func ordered(_ rows: [Int]) -> [Int] {
    var keyed: [(rank: UInt64, row: Int)] = rows.map { (rank($0), $0) }
    keyed.sort { left, right in
      left.rank == right.rank ? left.row < right.row : left.rank < right.rank
    }
    return keyed.map(\.row)
  }

  /// From the top: price (32 bits), certified or not (1), unreliability (15), room (16).
  private func rank(_ row: Int) -> UInt64 {
    let unreliability = UInt64((1 - inventory.reliabilities[row]) * 32_767)
    let cores = UInt64(inventory.freeMilliCPUs[row]) / 4000
    let room: UInt64 = min(0xFFFF, UInt64(inventory.freeGPUs[row]) * 64 + cores)
    let price = UInt64(inventory.prices[row])
    let uncertified: UInt64 = inventory.securities[row].contains(.soc2) ? 0 : 1
    return (price << 32) | (uncertified << 31) | (unreliability << 16) | room
  }

  func choice(
    _ demand: GangDemand, _ found: Found, _ strategy: GangDemand.Strategy, fallback: Int,
    eligible: Int
  ) -> GangChoice {
    let sites = Set(found.members.map { Int(inventory.sites[$0.row]) })
    let known = sites.filter { $0 >= 0 && $0 < matrix.count }.sorted()
    let reached = known.count == sites.count ? matrix.longest(among: known) : .infinity
    let machines = Set(found.members.map(\.row)).sorted()
    var choice = GangChoice(
      members: found.members, spares: found.spares, strategy: strategy, fallback: fallback,
      maxRTTMilliseconds: reached, lowerBoundMilliseconds: min(found.lowerBound, reached),
      sites: known,
      microdollarsPerHour: found.members.reduce(0) { sum, member in
        sum + cost(of: demand.bundles[member.kind].need, at: member.row)
      },
      reliability: machines.reduce(1) { $0 * Double(inventory.reliabilities[$1]) })
    choice.reasons = reasons(choice, demand, machines: machines.count, eligible: eligible)
    return choice
  }

  /// Millionths of a dollar for an hour of one bundle.
  func cost(of need: ResourceSet, at row: Int) -> Int {
    let price = Int(inventory.prices[row])
    return inventory.gpuCounts[row] > 0 ? price * need.gpus : price * need.milliCPUs / 1000
  }
}

extension BundleFill {
  /// Machines for lost members' places, as many as there are up to `count`.
  func spares(_ count: Int, _ rows: [Int]) -> [GangChoice.Member] {
    let fitting = rows.filter { scans[0].misses[$0] == 0 && scans[0].slots[$0] > 0 }
    return fitting.prefix(count).map {
      GangChoice.Member(kind: 0, row: $0, device: inventory.ids[$0])
    }
  }
}
