/// Looks for sites that are all within a round trip of each other and together hold enough devices:
/// a clique of sufficient weight in the graph of near pairs. Exact branch and bound, with colouring
/// as the bound (Tomita and Seki, DMTCS 2003; weights after Kumlander, 2004), in a bounded number
/// of steps.
struct CliqueSearch {
  enum Answer {
    case found([Int])
    /// There is none: proved.
    case none
    /// The steps were used up.
    case unknown
  }

  /// From how many sites the quick search starts before the exact one.
  private static let greedyStarts = 8

  private let capacities: [Int]
  private let wanted: Int
  private let near: [SiteSet]
  private let all: SiteSet
  private(set) var stepsLeft: Int
  private var chosen: [Int] = []

  init(
    _ matrix: LatencyMatrix, capacities: [Int], wanted: Int, within limit: Float, steps: Int
  ) {
    self.capacities = capacities
    self.wanted = wanted
    stepsLeft = steps
    var all = SiteSet(capacity: matrix.count)
    for site in 0..<matrix.count where capacities[site] > 0 { all.insert(site) }
    self.all = all
    near = (0..<matrix.count).map { site in
      var set = SiteSet(capacity: matrix.count)
      guard capacities[site] > 0 else { return set }
      for other in 0..<matrix.count
      where other != site && capacities[other] > 0 && matrix[site, other] <= limit {
        set.insert(other)
      }
      return set
    }
  }

  mutating func run() -> Answer {
    let core = peeled(all, missing: wanted)
    if core.isEmpty { return .none }
    if let quick = greedy(core) { return .found(quick) }
    // Sites with few devices around them come first: their branches are small, and gone after.
    var left = core
    while !left.isEmpty {
      let site = poorest(left)
      chosen = [site]
      let answer = extend(
        peeled(left.intersection(near[site]), missing: wanted - capacities[site]),
        missing: wanted - capacities[site])
      switch answer {
      case .found, .unknown: return answer
      case .none: break
      }
      left.remove(site)
      left = peeled(left, missing: wanted)
    }
    return .none
  }

  /// Without the sites whose whole neighbourhood is too small for the devices that are missing.
  private func peeled(_ set: SiteSet, missing: Int) -> SiteSet {
    var set = set
    var isStable = false
    while !isStable {
      isStable = true
      for site in set.sites
      where capacities[site] + near[site].devices(capacities, within: set) < missing {
        set.remove(site)
        isStable = false
      }
    }
    return set
  }

  private func poorest(_ set: SiteSet) -> Int {
    var best = (site: 0, devices: Int.max)
    set.forEach { site in
      let devices = near[site].devices(capacities, within: set)
      if devices < best.devices { best = (site, devices) }
    }
    return best.site
  }

  /// From the richest sites on, always adds the one that leaves the most devices to choose from.
  private func greedy(_ core: SiteSet) -> [Int]? {
    let richest = core.sites.map { ($0, near[$0].devices(capacities, within: core)) }
      .sorted { ($1.1, $0.0) < ($0.1, $1.0) }
    for (start, _) in richest.prefix(Self.greedyStarts) {
      var group = [start]
      var missing = wanted - capacities[start]
      var open = core.intersection(near[start])
      while missing > 0, open.devices(capacities) >= missing {
        var best = (site: -1, devices: -1)
        open.forEach { site in
          let devices = capacities[site] + near[site].devices(capacities, within: open)
          if devices > best.devices { best = (site, devices) }
        }
        group.append(best.site)
        missing -= capacities[best.site]
        open.formIntersection(near[best.site])
      }
      if missing <= 0 { return group }
    }
    return nil
  }

  private mutating func extend(_ open: SiteSet, missing: Int) -> Answer {
    if missing <= 0 { return .found(chosen) }
    stepsLeft -= 1
    guard stepsLeft > 0 else { return .unknown }
    let (order, bounds) = coloured(open)
    var open = open
    for index in order.indices.reversed() {
      // What is left of the colours cannot fill the group: nor can anything before it.
      if bounds[index] < missing { return .none }
      let site = order[index]
      chosen.append(site)
      let answer = extend(open.intersection(near[site]), missing: missing - capacities[site])
      switch answer {
      case .found, .unknown: return answer
      case .none: break
      }
      chosen.removeLast()
      open.remove(site)
    }
    return .none
  }

  /// The sites by colour, none near another of its colour, and up to each one the sum of the
  /// colours' largest: no group among them holds more devices.
  private func coloured(_ open: SiteSet) -> (order: [Int], bounds: [Int]) {
    var order: [Int] = []
    var bounds: [Int] = []
    var uncoloured = open
    var bound = 0
    while !uncoloured.isEmpty {
      var candidates = uncoloured
      var largest = 0
      let first = order.count
      while let site = candidates.first {
        candidates.remove(site)
        candidates.subtract(near[site])
        uncoloured.remove(site)
        largest = max(largest, capacities[site])
        order.append(site)
      }
      // Within a colour the smallest come first, so that a bound holds for what is before it.
      order[first...].sort { capacities[$0] < capacities[$1] }
      for index in first..<order.count { bounds.append(bound + capacities[order[index]]) }
      bound += largest
    }
    return (order, bounds)
  }
}
