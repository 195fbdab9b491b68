internal import IorunCore

extension GangPlanner {
  /// Why a choice is what it is, a sentence each.
  func reasons(
    _ choice: GangChoice, _ demand: GangDemand, machines: Int, eligible: Int
  ) -> [String] {
    var reasons = ["\(machines) of \(eligible) machines that meet every requirement and have room"]
    if choice.fallback > 0 {
      reasons.append(
        "fallback \(choice.fallback): \(choice.strategy.words), since \(demand.strategy.words) did "
          + "not fit")
    }
    switch choice.strategy {
    case .site, .closest:
      let trip = RoundTripWords.text(choice.maxRTTMilliseconds)
      if choice.sites.count == 1 {
        reasons.append("all in one site")
      } else if choice.optimalityGap == 0 {
        reasons.append(
          "\(choice.sites.count) sites within \(trip): no shorter round trip is possible")
      } else {
        reasons.append(
          "\(choice.sites.count) sites within \(trip); none shorter than "
            + "\(RoundTripWords.text(choice.lowerBoundMilliseconds)) is possible")
      }
    case .pack: reasons.append("the roomiest machines first, so that few are used")
    case .spread, .strictSpread: reasons.append("one bundle on each machine in turn")
    case .strictPack: reasons.append("one machine holds all")
    }
    reasons.append("among equals the cheapest, then certified, then reliable ones")
    if choice.spares.count < demand.spares {
      reasons.append(
        "no room for \(demand.spares - choice.spares.count) of \(demand.spares) spares")
    }
    return reasons
  }
}

extension GangDemand.Strategy {
  /// The strategy as a spec writes it.
  public var words: String {
    switch self {
    case .pack: "PACK"
    case .spread: "SPREAD"
    case .strictPack: "STRICT_PACK"
    case .strictSpread: "STRICT_SPREAD"
    case .site(let limit): "SITE(\(RoundTripWords.text(limit)))"
    case .closest: "CLOSEST"
    }
  }
}
