internal import IorunCore

/// Why a gang for which there is room finds none as its strategy wants it, and what would do.
struct StrategyRefusal {
  let request: GangRequest
  let seats: GangSeats
  /// The most ranks within the round trip that is asked for, and on which seats; `nil` where none is.
  let nearby: (ranks: Int, seats: [Int])?

  /// What is in the way, and what would do.
  var words: String {
    let slots = seats.seats.reduce(0) { $0 + $1.slots }
    let hasRoom = slots >= request.ranks
    switch request.placement {
    case .spread, .pack: return "lower ranks to \(slots)"
    case .strictPack:
      let largest = seats.seats.max { $0.slots < $1.slots }
      let most = largest.map { " (most: \($0.offer.name) with room for \($0.slots))" } ?? ""
      return "no node has room for all \(request.ranks)\(most); \(hasRoom ? "use PACK, or " : "")"
        + "lower ranks to \(largest?.slots ?? 0)"
    case .strictSpread:
      return "\(request.ranks) ranks need a node each, and \(seats.seats.count) have room; "
        + "\(hasRoom ? "use SPREAD, or " : "")lower ranks to \(seats.seats.count)"
    case .site(nil): return "how far these are from each other is not known yet"
    case .site(let limit?): return siteWords(Float(limit), hasRoom: hasRoom)
    }
  }

  private func siteWords(_ limit: Float, hasRoom: Bool) -> String {
    let most = nearby?.ranks ?? 0
    let words =
      "at most \(most) of the \(request.ranks) ranks within \(RoundTripWords.text(limit)) of each other"
    guard hasRoom else { return "\(words); lower ranks to \(most)" }
    guard let near = seats.nearest(within: .infinity),
      let reached = seats.sites.longest(among: near.seats.map { seats.seats[$0].offer.node })
    else { return "\(words); how far the others are is not known yet" }
    return "\(words); use SITE(\(RoundTripWords.bare(reached))ms), or lower ranks to \(most)"
  }
}
