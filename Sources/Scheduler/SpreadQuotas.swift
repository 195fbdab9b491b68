/// How many ranks each supplier and region gives where at most so many may depend on one of either.
///
/// With one kind of limit, whoever comes first takes. With both, taking in order can end in a corner,
/// so the shares of all pairs of supplier and region are fixed beforehand by a maximum flow (Edmonds
/// and Karp, 1972): suppliers on one side, regions on the other, the room of a pair between them.
struct SpreadQuotas {
  private struct Pair: Hashable {
    let supplier: String
    let region: String
  }

  private var perSupplier: Int?
  private var perRegion: Int?
  private var suppliers: [String: Int] = [:]
  private var regions: [String: Int] = [:]
  /// Where both limits hold: what is left of each pair's share.
  private var pairs: [Pair: Int]?

  /// No limits.
  init() {}

  /// - Parameter rooms: for how many ranks each node has room.
  /// - Returns: `nil` where the ranks do not find room within the limits.
  init?(_ limits: GangDemand.Limits, ranks: Int, rooms: [(offer: NodeOffer, slots: Int)]) {
    perSupplier = limits.perSupplier
    perRegion = limits.perCountry
    guard let perSupplier, let perRegion else { return }
    var flow = Flow()
    for (offer, slots) in rooms {
      flow.rooms[Pair(supplier: offer.supplier, region: offer.region), default: 0] += slots
    }
    flow.perSupplier = perSupplier
    flow.perRegion = perRegion
    guard flow.run(ranks) else { return nil }
    pairs = flow.shares
  }

  /// Takes up to `wanted` ranks for a node; returns how many it may have.
  mutating func take(_ wanted: Int, at offer: NodeOffer) -> Int {
    var taken = max(0, wanted)
    if pairs != nil {
      let pair = Pair(supplier: offer.supplier, region: offer.region)
      taken = min(taken, pairs?[pair] ?? 0)
      pairs?[pair, default: 0] -= taken
      return taken
    }
    guard perSupplier != nil || perRegion != nil else { return taken }
    if let perSupplier { taken = min(taken, perSupplier - suppliers[offer.supplier, default: 0]) }
    if let perRegion { taken = min(taken, perRegion - regions[offer.region, default: 0]) }
    suppliers[offer.supplier, default: 0] += taken
    regions[offer.region, default: 0] += taken
    return taken
  }

  private struct Flow {
    var rooms: [Pair: Int] = [:]
    var shares: [Pair: Int] = [:]
    var perSupplier = 0
    var perRegion = 0

    /// Shares for so many ranks; false where there are fewer.
    mutating func run(_ ranks: Int) -> Bool {
      var left = ranks
      let pairs = rooms.keys.sorted { ($0.supplier, $0.region) < ($1.supplier, $1.region) }
      let suppliers = Set(pairs.map(\.supplier)).sorted()
      while left > 0 {
        guard let gained = augment(pairs, suppliers, most: left) else { return false }
        left -= gained
      }
      return true
    }

    private func used(supplier: String) -> Int {
      shares.reduce(0) { $1.key.supplier == supplier ? $0 + $1.value : $0 }
    }

    private func used(region: String) -> Int {
      shares.reduce(0) { $1.key.region == region ? $0 + $1.value : $0 }
    }

    /// The shortest path from a supplier with something left to a region with something left, over
    /// rooms that are not full and shares that may be given back.
    private mutating func augment(_ pairs: [Pair], _ suppliers: [String], most: Int) -> Int? {
      /// By region the pair that led there; by supplier the pair that was given back.
      var intoRegion: [String: Pair] = [:]
      var intoSupplier: [String: Pair?] = [:]
      var queue: [String] = []
      for supplier in suppliers where used(supplier: supplier) < perSupplier {
        intoSupplier[supplier] = .some(nil)
        queue.append(supplier)
      }
      while !queue.isEmpty {
        let supplier = queue.removeFirst()
        for pair in pairs
        where pair.supplier == supplier && intoRegion[pair.region] == nil
          && shares[pair, default: 0] < rooms[pair, default: 0]
        {
          intoRegion[pair.region] = pair
          if used(region: pair.region) < perRegion {
            return push(to: pair.region, intoRegion, intoSupplier, most: most)
          }
          for back in pairs
          where back.region == pair.region && shares[back, default: 0] > 0
            && intoSupplier[back.supplier] == nil
          {
            intoSupplier[back.supplier] = .some(back)
            queue.append(back.supplier)
          }
        }
      }
      return nil
    }

    private mutating func push(
      to region: String, _ intoRegion: [String: Pair], _ intoSupplier: [String: Pair?], most: Int
    ) -> Int {
      var gained = min(most, perRegion - used(region: region))
      var forward: [Pair] = []
      var back: [Pair] = []
      var region = region
      while let pair = intoRegion[region] {
        forward.append(pair)
        gained = min(gained, rooms[pair, default: 0] - shares[pair, default: 0])
        guard case .some(let given?) = intoSupplier[pair.supplier] else {
          gained = min(gained, perSupplier - used(supplier: pair.supplier))
          break
        }
        back.append(given)
        gained = min(gained, shares[given, default: 0])
        region = given.region
      }
      for pair in forward { shares[pair, default: 0] += gained }
      for pair in back { shares[pair, default: 0] -= gained }
      return gained
    }
  }
}
