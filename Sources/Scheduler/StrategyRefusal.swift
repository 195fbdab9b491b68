internal import IorunCore

/// Why a gang for which there is room finds none as its strategy wants it, and what would do.
struct StrategyRefusal {
  let request: GangRequest
  let seats: GangSeats

  var words: String {
    let slots = seats.seats.reduce(0) { $0 + $1.slots }
    let room = "\(count(seats.seats.count, "node")) with room for \(count(slots, "rank"))"
    switch request.placement {
    case .spread, .pack: return room
    case .strictPack:
      let largest = seats.seats.max { $0.slots < $1.slots }
      let most = largest.map { " (most: \($0.offer.name) with room for \($0.slots))" } ?? ""
      return
        "\(room), none for all \(request.ranks)\(most); use PACK, or lower ranks to "
        + "\(largest?.slots ?? 0)"
    case .strictSpread:
      return
        "\(room), and \(request.ranks) ranks need a node each; use SPREAD, or lower ranks to "
        + "\(seats.seats.count)"
    case .site(nil):
      return "\(room), but how far they are from each other is not known yet"
    case .site(let limit?):
      let within = RoundTripWords.text(Float(limit))
      let most = seats.most(within: Float(limit))
      var words =
        "\(room), but at most \(most) of the \(request.ranks) ranks within \(within) of each other"
      if let near = seats.nearest(within: .infinity),
        let reached = seats.sites.longest(among: near.map { seats.seats[$0].offer.node })
      {
        words +=
          "; they fit with SITE(\(RoundTripWords.bare(reached))ms), or lower ranks to \(most)"
      } else {
        words += "; how far the others are is not known yet"
      }
      return words
    }
  }

  private func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }
}
