internal import IorunCore

/// Offers for a demand that differ in price, longest round trip and reliability, and of which none is
/// beaten by another in all three (Pareto). For each of some longest round trips, from the shortest
/// possible one up, the cheapest group within it is sought, among all devices and among reliable ones.
///
/// The shortest round trip is exact, or its gap is told. The cheapest groups are found by a greedy
/// search from many sites: good, not proved.
public struct OfferSearch: Sendable {
  /// The most offers of an answer.
  public static let most = 8
  /// Which part of the devices is left out as the least reliable.
  private static let reliabilityQuantiles = [0, 0.5, 0.9]

  private let planner: GangPlanner

  /// Looks in an inventory.
  public init(_ planner: GangPlanner) { self.planner = planner }

  /// At most ``most`` offers, by price; none where the demand cannot be met.
  public func offers(_ demand: GangDemand) -> [GangOffer] {
    guard demand.objection == nil else { return [] }
    var found: [GangChoice] = []
    for floor in floors(demand) {
      var demand = demand
      for kind in demand.bundles.indices {
        demand.bundles[kind].filter.reliability = max(
          demand.bundles[kind].filter.reliability, floor)
      }
      found += choices(demand)
    }
    return thinned(Self.undominated(found))
  }

  /// The reliabilities from which on devices are looked at.
  private func floors(_ demand: GangDemand) -> [Double] {
    let scan = DeviceScan(planner.inventory, demand.bundles[0])
    let sorted = scan.eligible.map { planner.inventory.reliabilities[$0] }.sorted()
    guard !sorted.isEmpty else { return [0] }
    return Set(
      Self.reliabilityQuantiles.map { part in
        part == 0 ? 0 : Double(sorted[min(sorted.count - 1, Int(part * Double(sorted.count)))])
      }
    ).sorted()
  }

  private func choices(_ demand: GangDemand) -> [GangChoice] {
    // What the demand asks for by itself, first.
    var found = planner.find(demand).map { [$0] } ?? []
    let limit: Float
    switch demand.strategy {
    case .site(let most): limit = most
    case .closest, .pack, .spread: limit = .infinity
    case .strictPack, .strictSpread: return found
    }
    var closest = demand
    closest.strategy = limit.isFinite ? .site(maxRTTMilliseconds: limit) : .closest
    closest.fallbacks = []
    guard let fastest = planner.find(closest) else { return found }
    found.append(fastest)
    let search = CheapestGroup(planner: planner, demand: closest)
    for bound in bounds(from: fastest.maxRTTMilliseconds, to: limit) {
      if let cheapest = search.find(within: bound, lowerBound: fastest.lowerBoundMilliseconds) {
        found.append(cheapest)
      }
    }
    return found
  }

  /// Longest round trips to try, ever further apart.
  private func bounds(from shortest: Float, to limit: Float) -> [Float] {
    var bounds = [shortest]
    var next = max(shortest, 1)
    while bounds.count < 16, next < 400 {
      next *= 1.35
      bounds.append(min(next, limit))
    }
    return bounds + (limit.isFinite ? [] : [.infinity])
  }

  /// Without those that another one beats or equals in everything.
  private static func undominated(_ choices: [GangChoice]) -> [GangChoice] {
    var kept: [GangChoice] = []
    let sorted = choices.sorted { left, right in
      (left.microdollarsPerHour, left.maxRTTMilliseconds, -left.reliability)
        < (right.microdollarsPerHour, right.maxRTTMilliseconds, -right.reliability)
    }
    for choice in sorted {
      let isBeaten = kept.contains {
        $0.microdollarsPerHour <= choice.microdollarsPerHour
          && $0.maxRTTMilliseconds <= choice.maxRTTMilliseconds
          && $0.reliability >= choice.reliability
      }
      if !isBeaten { kept.append(choice) }
    }
    return kept
  }

  /// The extremes, and of the others as many as there is room for, evenly.
  private func thinned(_ choices: [GangChoice]) -> [GangOffer] {
    guard !choices.isEmpty else { return [] }
    let cheapest = 0
    let fastest = choices.indices.min {
      choices[$0].maxRTTMilliseconds < choices[$1].maxRTTMilliseconds
    }
    let safest = choices.indices.max { choices[$0].reliability < choices[$1].reliability }
    var kept = Set([cheapest, fastest, safest].compactMap(\.self))
    let others = choices.indices.filter { !kept.contains($0) }
    let room = Self.most - kept.count
    if others.count <= room {
      kept.formUnion(others)
    } else {
      for number in 0..<room { kept.insert(others[number * others.count / room]) }
    }
    return kept.sorted().map { index in
      var words: [String] = []
      if index == cheapest { words.append("cheapest") }
      if index == fastest { words.append("shortest round trips") }
      if index == safest { words.append("most reliable") }
      return GangOffer(
        choice: choices[index], words: words.isEmpty ? "in between" : words.joined(separator: ", "))
    }
  }
}
