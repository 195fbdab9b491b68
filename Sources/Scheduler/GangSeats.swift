internal import IorunCore

/// A node with room for at least one rank.
struct GangSeat {
  var offer: NodeOffer
  var room: ResourceSet
  var slots: Int
}

/// Gives ranks to seats by strategy: how many each gets.
struct GangSeats {
  /// In the order in which they are given ranks.
  let seats: [GangSeat]
  let sites: NodeSites
  let ranks: Int

  /// How many branches the search for close nodes may look at.
  private static let steps = 50_000

  /// Ranks by seat, all of them; `nil` where they do not find room.
  func counts(_ strategy: GangStrategy) -> [Int]? {
    switch strategy {
    case .spread: return spread(over: Array(seats.indices))
    case .strictSpread:
      guard seats.count >= ranks else { return nil }
      return seats.indices.map { $0 < ranks ? 1 : 0 }
    case .strictPack:
      // The tightest, so that larger gangs find the others whole.
      let tightest = seats.indices.filter { seats[$0].slots >= ranks }
        .min { (seats[$0].slots, $0) < (seats[$1].slots, $1) }
      return tightest.map { only in seats.indices.map { $0 == only ? ranks : 0 } }
    case .pack: return packed
    case .site(let limit):
      guard let near = nearest(within: limit.map { Float($0) } ?? .infinity) else { return nil }
      return spread(over: near)
    }
  }

  /// How many ranks find room within a round trip at most; some more may where the search was cut short.
  func most(within limit: Float) -> Int {
    var (low, high) = (0, ranks)
    while low < high {
      let middle = (low + high + 1) / 2
      let fewer = GangSeats(seats: seats, sites: sites, ranks: middle)
      if fewer.nearest(within: limit) != nil { low = middle } else { high = middle - 1 }
    }
    return low
  }

  /// The seats of the group whose longest round trip is the shortest, as far as `limit` allows it.
  func nearest(within limit: Float) -> [Int]? {
    // A node of no known site is a group by itself.
    if let alone = seats.indices.first(where: {
      sites.siteOf[seats[$0].offer.node] == nil && seats[$0].slots >= ranks
    }) {
      return [alone]
    }
    var capacities = [Int](repeating: 0, count: sites.matrix.count)
    for seat in seats {
      guard let site = sites.siteOf[seat.offer.node] else { continue }
      capacities[site] += seat.slots
    }
    let choice = GroupSelector(sites.matrix, capacities: capacities)
      .choose(devices: ranks, maxRTTMilliseconds: limit, steps: Self.steps)
    guard let choice else { return nil }
    let chosen = Set(choice.shares.map(\.site))
    return seats.indices.filter { sites.siteOf[seats[$0].offer.node].map(chosen.contains) ?? false }
  }

  /// One rank on each in turn, on as many of these seats as there are.
  private func spread(over seats: [Int]) -> [Int]? {
    var counts = Array(repeating: 0, count: self.seats.count)
    var open = seats
    var left = ranks
    while left > 0 {
      open.removeAll { counts[$0] == self.seats[$0].slots }
      if open.isEmpty { return nil }
      for index in open.prefix(left) { counts[index] += 1 }
      left -= min(left, open.count)
    }
    return counts
  }

  private var packed: [Int]? {
    var counts = Array(repeating: 0, count: seats.count)
    var left = ranks
    for index in seats.indices.sorted(by: { (-seats[$0].slots, $0) < (-seats[$1].slots, $1) }) {
      counts[index] = min(left, seats[index].slots)
      left -= counts[index]
    }
    return left == 0 ? counts : nil
  }
}
