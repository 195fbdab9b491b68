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
  /// How many ranks may depend on one supplier or region.
  var limits = GangDemand.Limits()

  /// How many branches the search for close nodes may look at.
  private static let steps = 50_000

  /// Ranks by seat, all of them; `nil` where they do not find room.
  func counts(_ strategy: GangStrategy) -> [Int]? { share(strategy)?.counts }

  /// The same, and what is proved of the longest round trip where the strategy asks for that.
  func share(_ strategy: GangStrategy) -> (counts: [Int], lowerBound: Float?)? {
    guard case .site(let limit) = strategy else {
      return plainCounts(strategy).map { ($0, nil) }
    }
    guard let near = nearest(within: limit.map { Float($0) } ?? .infinity),
      let counts = spread(over: near.seats)
    else { return nil }
    return (counts, near.lowerBound)
  }

  private func plainCounts(_ strategy: GangStrategy) -> [Int]? {
    let all = Array(seats.indices)
    switch strategy {
    case .spread: return spread(over: all)
    case .strictSpread: return spread(over: all, mostOfEach: 1)
    case .strictPack:
      guard ranks <= limits.perSupplier ?? .max, ranks <= limits.perCountry ?? .max else {
        return nil
      }
      // The tightest, so that larger gangs find the others whole.
      let tightest = all.filter { seats[$0].slots >= ranks }
        .min { (seats[$0].slots, $0) < (seats[$1].slots, $1) }
      return tightest.map { only in all.map { $0 == only ? ranks : 0 } }
    case .pack:
      return fill(all.sorted { (-seats[$0].slots, $0) < (-seats[$1].slots, $1) }, mostAtOnce: .max)
    case .site: return nil
    }
  }

  /// The same seats where suppliers and regions do not matter.
  var withoutLimits: GangSeats { GangSeats(seats: seats, sites: sites, ranks: ranks) }

  /// How many ranks find room within the limits of suppliers and regions.
  var mostWithinLimits: Int {
    var (low, high) = (0, ranks)
    while low < high {
      let middle = (low + high + 1) / 2
      let fewer = GangSeats(seats: seats, sites: sites, ranks: middle, limits: limits)
      if fewer.counts(.spread) != nil { low = middle } else { high = middle - 1 }
    }
    return low
  }

  /// How many ranks find room within a round trip at most, and on which seats; some more may where the
  /// search was cut short.
  func most(within limit: Float) -> (ranks: Int, seats: [Int]) {
    var (low, high) = (0, ranks)
    var best: [Int] = []
    while low < high {
      let middle = (low + high + 1) / 2
      let fewer = GangSeats(seats: seats, sites: sites, ranks: middle, limits: limits)
      if let near = fewer.nearest(within: limit) {
        (low, best) = (middle, near.seats)
      } else {
        high = middle - 1
      }
    }
    return (low, best)
  }

  /// The seats of the group whose longest round trip is the shortest, as far as `limit` allows it, and
  /// what is proved: no group has a shorter one.
  func nearest(within limit: Float) -> (seats: [Int], lowerBound: Float)? {
    // A node of no known site is a group by itself.
    if let alone = seats.indices.first(where: {
      sites.siteOf[seats[$0].offer.node] == nil && seats[$0].slots >= ranks
        && spread(over: [$0]) != nil
    }) {
      return ([alone], 0)
    }
    var capacities = [Int](repeating: 0, count: sites.matrix.count)
    for seat in seats {
      guard let site = sites.siteOf[seat.offer.node] else { continue }
      capacities[site] += seat.slots
    }
    func members(_ group: Set<Int>) -> [Int] {
      seats.indices.filter { sites.siteOf[seats[$0].offer.node].map(group.contains) ?? false }
    }
    let selector = GroupSelector(sites.matrix, capacities: capacities)
    guard limits == GangDemand.Limits() else {
      // Room alone does not decide: each group is tried with the limits.
      let outcome = selector.sites(
        devices: ranks, maxRTTMilliseconds: limit, steps: Self.steps
      ) { spread(over: members(Set($0))) != nil }
      return outcome.group.map { (members(Set($0)), outcome.lowerBound) }
    }
    let choice = selector.choose(devices: ranks, maxRTTMilliseconds: limit, steps: Self.steps)
    return choice.map { (members(Set($0.shares.map(\.site))), $0.lowerBoundMilliseconds) }
  }

  /// One rank on each in turn, on as many of these seats as there are.
  private func spread(over seats: [Int], mostOfEach: Int = .max) -> [Int]? {
    fill(seats, mostAtOnce: 1, mostOfEach: mostOfEach)
  }

  /// Ranks on the seats in this order, round by round, within the limits.
  private func fill(_ order: [Int], mostAtOnce: Int, mostOfEach: Int = .max) -> [Int]? {
    guard var quotas = quotas(order, mostOfEach: mostOfEach) else { return nil }
    var counts = Array(repeating: 0, count: seats.count)
    var open = order
    var left = ranks
    while left > 0, !open.isEmpty {
      var next: [Int] = []
      for index in open where left > 0 {
        let seat = seats[index]
        let room = min(seat.slots, mostOfEach) - counts[index]
        let taken = quotas.take(min(left, room, mostAtOnce), at: seat.offer)
        guard taken > 0 else { continue }
        counts[index] += taken
        left -= taken
        next.append(index)
      }
      open = next
    }
    return left == 0 ? counts : nil
  }

  private func quotas(_ order: [Int], mostOfEach: Int) -> SpreadQuotas? {
    if limits == GangDemand.Limits() { return SpreadQuotas() }
    return SpreadQuotas(
      limits, ranks: ranks,
      rooms: order.map { (seats[$0].offer, min(seats[$0].slots, mostOfEach, ranks)) })
  }
}
