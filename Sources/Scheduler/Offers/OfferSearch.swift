internal import IorunCore

/// Offers for a demand that differ in price, longest round trip and reliability, and of which none is
/// beaten by another in all three (Pareto). Where there are fewer than ``fewest`` of these, the next best
/// on other devices stand beside them, marked as what they are. For each of some longest round trips, from the shortest
/// possible one up, the cheapest group within it is sought, among all devices and among reliable ones.
///
/// The shortest round trip is exact, or its gap is told. The cheapest groups are found by a greedy
/// search from many sites: good, not proved.
public struct OfferSearch: Sendable {
  /// The most offers of an answer.
  public static let most = 8
  /// The fewest, where so many different sets of devices would do.
  public static let fewest = 3
  /// How many devices are left out, one after the other, to find other sets.
  private static let mostLeftOut = 24
  /// Which part of the devices is left out as the least reliable.
  private static let reliabilityQuantiles = [0, 0.5, 0.9]

  private let planner: GangPlanner

  /// Looks in an inventory.
  public init(_ planner: GangPlanner) { self.planner = planner }

  /// At most ``most`` offers, by price, and after them alternatives; none where the demand cannot be met.
  public func offers(_ demand: GangDemand) -> [GangOffer] {
    guard demand.objection == nil else { return [] }
    var found = search(demand)
    let best = thinned(Self.undominated(found))
    guard !best.isEmpty, best.count < Self.fewest else { return best }
    for choice in best.map(\.choice) { found += others(than: choice, demand) }
    return best + alternatives(to: best, among: found, count: Self.fewest - best.count)
  }

  private func search(_ demand: GangDemand) -> [GangChoice] {
    var found: [GangChoice] = []
    for floor in floors(demand) {
      var demand = demand
      for kind in demand.bundles.indices {
        demand.bundles[kind].filter.reliability = max(
          demand.bundles[kind].filter.reliability, floor)
      }
      found += choices(demand)
    }
    return found
  }

  /// What is found without all the devices of a choice, then without those of what was found, too; and
  /// without one of the choice's each time.
  private func others(than choice: GangChoice, _ demand: GangDemand) -> [GangChoice] {
    let devices = Self.devices(of: choice)
    func without(_ leftOut: Set<PeerID>) -> [GangChoice] {
      var demand = demand
      for kind in demand.bundles.indices {
        demand.bundles[kind].filter.excluded.formUnion(leftOut)
      }
      return choices(demand)
    }
    var found: [GangChoice] = []
    var used = Set(devices)
    for _ in 1..<Self.fewest {
      let more = without(used)
      guard let best = Self.undominated(more).first else { break }
      found += more
      used.formUnion(Self.devices(of: best))
    }
    guard devices.count > 1 else { return found }
    return found + devices.prefix(Self.mostLeftOut).flatMap { without([$0]) }
  }

  /// The next best of what was found: on other devices than each of the offers, and than each other.
  private func alternatives(
    to offers: [GangOffer], among found: [GangChoice], count: Int
  ) -> [GangOffer] {
    var seen = Set(offers.map { Self.devices(of: $0.choice) })
    var left = found.filter { seen.insert(Self.devices(of: $0)).inserted }
    var alternatives: [GangOffer] = []
    while alternatives.count < count, !left.isEmpty {
      // Layer by layer: what none of the others beats goes first.
      let layer = Self.undominated(left)
      let kept = Set(layer.map(Self.devices))
      left.removeAll { kept.contains(Self.devices(of: $0)) }
      for choice in layer.prefix(count - alternatives.count) {
        let isBeaten = offers.contains { Self.beats($0.choice, choice) }
        alternatives.append(
          GangOffer(
            choice: choice,
            words: isBeaten
              ? "an alternative on other nodes, beaten by an offer above"
              : "an alternative on other nodes, as good", isDominated: isBeaten))
      }
    }
    return alternatives
  }

  private static func devices(of choice: GangChoice) -> [PeerID] {
    Set(choice.members.map(\.device)).sorted()
  }

  /// True where one is not worse in anything, and better in something.
  private static func beats(_ one: GangChoice, _ other: GangChoice) -> Bool {
    one.microdollarsPerHour <= other.microdollarsPerHour
      && one.maxRTTMilliseconds <= other.maxRTTMilliseconds && one.reliability >= other.reliability
      && (one.microdollarsPerHour < other.microdollarsPerHour
        || one.maxRTTMilliseconds < other.maxRTTMilliseconds
        || one.reliability > other.reliability)
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
