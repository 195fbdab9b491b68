internal import IorunCore

/// Why a gang was not placed, and the nearest single changes that would place it: each is tried, by the
/// same decision that refused.
struct RefusalSearch {
  private let planner: GangPlanner
  private let demand: GangDemand
  private let scans: [DeviceScan]

  private static let mostRelaxations = 5

  init(planner: GangPlanner, demand: GangDemand) {
    self.planner = planner
    self.demand = demand
    scans = demand.bundles.map { DeviceScan(planner.inventory, $0) }
  }

  var refusal: GangRefusal {
    GangRefusal(
      objection: nil,
      funnels: demand.bundles.indices.map { kind in
        FilterFunnel(
          planner.inventory, demand.bundles[kind], scans[kind], nearEnough: nearEnough(kind))
      },
      relaxations: relaxations)
  }

  /// The rows of the roomiest group within the round trip that was asked for.
  private func nearEnough(_ kind: Int) -> (rows: Set<Int>, limit: Float)? {
    guard case .site(let limit) = demand.strategy else { return nil }
    let inventory = planner.inventory
    var bySite = [[Int]](repeating: [], count: planner.matrix.count)
    var slots = [Int](repeating: 0, count: planner.matrix.count)
    for row in scans[kind].eligible where bySite.indices.contains(Int(inventory.sites[row])) {
      bySite[Int(inventory.sites[row])].append(row)
      slots[Int(inventory.sites[row])] += Int(scans[kind].slots[row])
    }
    let roomy = slots.indices.filter { slots[$0] > 0 }
      .sorted { (-slots[$0], $0) < (-slots[$1], $1) }
    var best: (slots: Int, sites: [Int]) = (0, [])
    for start in roomy {
      var group = [start]
      for site in roomy where site != start {
        if group.allSatisfy({ planner.matrix[$0, site] <= limit }) { group.append(site) }
      }
      let room = group.reduce(0) { $0 + slots[$1] }
      if room > best.slots { best = (room, group) }
    }
    return (Set(best.sites.flatMap { bySite[$0] }), limit)
  }

  private var relaxations: [Relaxation] {
    var found: [Relaxation] = []
    for kind in demand.bundles.indices {
      for requirement in Requirement.allCases {
        if let relaxation = relaxation(kind, requirement) { found.append(relaxation) }
      }
    }
    if let relaxation = longerRoundTrip { found.append(relaxation) }
    if let relaxation = fewerBundles { found.append(relaxation) }
    if let relaxation = otherJobsEnd { found.append(relaxation) }
    let sorted = found.enumerated().sorted {
      ($0.element.departure, $0.offset) < ($1.element.departure, $1.offset)
    }
    return Array(sorted.map(\.element).prefix(Self.mostRelaxations))
  }

  private func fits(_ changed: GangDemand) -> Bool { planner.find(changed) != nil }

  private func changing(_ kind: Int, _ change: (inout GangDemand.Bundle) -> Void) -> GangDemand {
    var changed = demand
    change(&changed.bundles[kind])
    return changed
  }

  /// Asks less of one requirement of one kind of bundle, as little less as will do.
  private func relaxation(_ kind: Int, _ requirement: Requirement) -> Relaxation? {
    // Only devices that miss nothing else come in by it.
    let rows = scans[kind].misses.indices.filter { scans[kind].misses[$0] == requirement.bit }
    guard !rows.isEmpty else { return nil }
    let inventory = planner.inventory
    let filter = demand.bundles[kind].filter
    let need = demand.bundles[kind].need
    switch requirement {
    case .deviceMemory:
      return lower(
        requirement, "device memory", from: Double(filter.deviceMemory.wholeMiB),
        to: rows.map { Double(inventory.deviceMemoryMiB[$0]) },
        words: { "\(Bytes.mebi(UInt64($0)))" },
        change: { value in changing(kind) { $0.filter.deviceMemory = .mebi(UInt64(value)) } })
    case .gpus:
      return lower(
        requirement, "gpus", from: Double(need.gpus),
        to: rows.map { Double(inventory.gpuCounts[$0]) },
        words: { "\(Int($0))" },
        change: { value in changing(kind) { $0.need.gpus = Int(value) } })
    case .cpus:
      return lower(
        requirement, "cpus", from: Double(need.milliCPUs),
        to: rows.map { Double(inventory.milliCPUs[$0]) },
        words: { ResourceKind.cpus.amount(UInt64($0)) },
        change: { value in changing(kind) { $0.need.milliCPUs = Int(value) } })
    case .memory:
      return lower(
        requirement, "memory", from: Double(need.memory.wholeMiB),
        to: rows.map { Double(inventory.memoryMiB[$0]) }, words: { "\(Bytes.mebi(UInt64($0)))" },
        change: { value in changing(kind) { $0.need.memory = .mebi(UInt64(value)) } })
    case .disk:
      return lower(
        requirement, "disk", from: Double(need.disk.wholeMiB),
        to: rows.map { Double(inventory.diskMiB[$0]) }, words: { "\(Bytes.mebi(UInt64($0)))" },
        change: { value in changing(kind) { $0.need.disk = .mebi(UInt64(value)) } })
    case .reliability:
      return lower(
        requirement, "reliability", from: filter.reliability,
        to: rows.map { Double(inventory.reliabilities[$0]) }, words: { "\($0)" },
        change: { value in changing(kind) { $0.filter.reliability = value } })
    case .price:
      guard let asked = filter.mostMicrodollarsPerHour else { return nil }
      // The dearest that is needed, found from below: minus prices fall as the others do.
      return lower(
        requirement, nil, from: -Double(asked), to: rows.map { -Double(inventory.prices[$0]) },
        words: { "raise the price to $\((-$0 / 10_000).rounded(.up) / 100) an hour" },
        change: { value in changing(kind) { $0.filter.mostMicrodollarsPerHour = Int(-value) } })
    case .excluded, .model, .place, .verification, .security, .tier, .labels:
      let changed = changing(kind) { $0.filter = $0.filter.dropping(requirement) }
      guard fits(changed) else { return nil }
      return Relaxation(
        requirement: requirement, words: Self.drop(requirement, filter), departure: 0.5)
    case .busy, .roundTrip: return nil
    }
  }

  /// The value nearest to what was asked, of those that devices have, with which the gang fits.
  private func lower(
    _ requirement: Requirement, _ name: String?, from asked: Double, to values: [Double],
    words: (Double) -> String, change: (Double) -> GangDemand
  ) -> Relaxation? {
    let candidates = Set(values.filter { $0 < asked }).sorted(by: >)
    // Less never fits worse: halving finds the first that fits.
    var (low, high) = (0, candidates.count)
    while low < high {
      let middle = (low + high) / 2
      if fits(change(candidates[middle])) { high = middle } else { low = middle + 1 }
    }
    guard low < candidates.count else { return nil }
    let value = candidates[low]
    let departure = min(1, abs(asked - value) / max(abs(asked), .leastNormalMagnitude))
    return Relaxation(
      requirement: requirement,
      words: name.map { "lower \($0) to \(words(value))" } ?? words(value), departure: departure)
  }

  private static func drop(_ requirement: Requirement, _ filter: DeviceFilter) -> String {
    switch requirement {
    case .excluded: "allow the excluded suppliers and machines"
    case .model: "allow other models"
    case .place: "allow other places"
    case .verification: "allow devices that are not verified"
    case .security: "do without \(filter.security.names.joined(separator: ", "))"
    case .tier: "allow slower ways to the internet"
    case .labels: "leave out the label selector"
    default: "ask less"
    }
  }

  private var longerRoundTrip: Relaxation? {
    guard case .site(let limit) = demand.strategy else { return nil }
    var changed = demand
    changed.strategy = .closest
    changed.fallbacks = []
    guard let choice = planner.find(changed), choice.maxRTTMilliseconds.isFinite else { return nil }
    let reached = choice.maxRTTMilliseconds
    return Relaxation(
      requirement: .roundTrip, words: "raise maxRTT to \(RoundTripWords.text(reached))",
      departure: min(1, Double((reached - limit) / reached)))
  }

  private var fewerBundles: Relaxation? {
    guard demand.bundles.count == 1, demand.count > 1 else { return nil }
    var (low, high) = (0, demand.count)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if fits(changing(0) { $0.count = middle }) { low = middle } else { high = middle }
    }
    guard low > 0 else { return nil }
    return Relaxation(
      requirement: nil, words: "lower the number of bundles to \(low)",
      departure: Double(demand.count - low) / Double(demand.count))
  }

  private var otherJobsEnd: Relaxation? {
    let idle = GangPlanner(planner.inventory.idle, matrix: planner.matrix, steps: planner.steps)
    guard idle.find(demand) != nil else { return nil }
    return Relaxation(requirement: .busy, words: "wait until running jobs end", departure: 0)
  }
}
