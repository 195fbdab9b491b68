internal import IorunCore

extension NodeInventory {
  /// Where the ranks of a gang go that lost nodes: who is left keeps its place, lost ranks get a spare,
  /// then a place of the same site, then the nearest, then what the gang's owner allows. Changes nothing.
  ///
  /// The work is a look at each node with room, at its site alone, and what `RepairPlanner` does;
  /// more is asked only of the gang's own nodes and of those at sites that it gets.
  ///
  /// - Parameters:
  ///   - terms: the caller's number of what bars nodes.
  ///   - bars: which nodes the terms leave out, as for `place`.
  /// - Returns: `nil` where nothing near is free.
  public mutating func mend(
    _ gang: GangMending, terms: Int = 0, bars: (NodeOffer) -> Bool = { _ in false }
  ) -> GangMending.Outcome? {
    guard gang.request.placement != .strictPack else { return nil }
    let seats = gang.seats.filter { seat in
      offer(of: seat.node).map {
        $0.isPlaceable && !gang.request.excluding.contains($0.node) && !bars($0)
      } ?? false
    }
    let kept = seats.filter { $0.rank != nil }
    let keptNodes = Set(kept.map(\.node))
    let spares = seats.filter { $0.rank == nil && !keptNodes.contains($0.node) }
    guard !kept.isEmpty, kept.count < gang.request.ranks else { return nil }
    var joining = gang.joining
    if gang.request.placement == .strictSpread { joining.excluding.formUnion(keptNodes) }
    let order = order(for: joining, terms: terms, bars: bars)

    var sites = MendingSites(
      self.sites, needed: kept.map(\.node) + spares.map(\.node) + gang.lostNodes)
    let allowed = allowed(terms: terms)
    for row in siteRows(sites: 0).rows.homeless
    where allowed?.contains(row) ?? true && !joining.excluding.contains(offers[row].node) {
      guard sites.addSome(offers[row].node) else { break }
    }
    let (rows, matrix) = siteRows(sites: sites.count)
    var planner = RepairPlanner(
      matrix, free: free(order, rows, sites, mostOfEach: gang.request.ranks))

    // As many as are missing, at the sites that lost nodes as far as these are known.
    let missing = gang.request.ranks - kept.count
    let lost = gang.lostNodes.compactMap { sites[$0] }
    var lostCounts: [Int: Int] = [:]
    for rank in 0..<missing {
      lostCounts[lost.isEmpty ? 0 : lost[rank % lost.count], default: 0] += 1
    }
    let casualty = RepairPlanner.Casualty(
      left: sites.counts(kept.map(\.node)), lost: lostCounts,
      spares: sites.counts(spares.map(\.node)), maxRTTMilliseconds: gang.maxRTTMilliseconds,
      allowance: gang.allowance)
    let shares: [Int: Int]
    var reached: Float?
    switch try? planner.repair(casualty) {
    case .replaced(let found, spares: _): shares = found
    case .degraded(let found, let longest): (shares, reached) = (found, longest)
    case .shrunk: return .shrunk(gang.shrunk(to: kept))
    default: return nil
    }
    guard let joined = join(shares, spares, joining, order, rows, sites),
      gang.keepsLimits((kept + joined).compactMap { offer(of: $0.node) })
    else { return nil }
    return .mended(gang.numbered(kept, joined), joined: joined, reached: reached)
  }

  /// For how many ranks each site has room.
  private func free(
    _ order: SeatOrder, _ rows: SiteRows, _ sites: MendingSites, mostOfEach most: Int
  ) -> [Int] {
    var free = [Int](repeating: 0, count: sites.count)
    order.forEachSeat { row, slots in
      let site = Int(rows.site[row])
      if site >= 0 { free[site] += min(slots, most) }
    }
    for (node, site) in sites.strangers {
      guard let row = row(of: node), order.hasSeat(row) else { continue }
      free[site] += min(order.slots(row), most)
    }
    return free
  }

  /// Places at the sites that were chosen, spares first.
  private func join(
    _ shares: [Int: Int], _ spares: [GangMending.Seat], _ joining: GangRequest,
    _ order: SeatOrder, _ rows: SiteRows, _ sites: MendingSites
  ) -> [GangMending.Seat]? {
    let strangers = Dictionary(
      sites.strangers.compactMap { node, site in row(of: node).map { (site, $0) } }
    ) { $1 }
    var joined: [GangMending.Seat] = []
    for (site, count) in shares.sorted(by: { $0.key < $1.key }) {
      let warm = spares.filter { sites[$0.node] == site }.prefix(count)
      joined += warm
      guard warm.count < count else { continue }
      var request = joining
      request.ranks = count - warm.count
      let stranger = strangers[site]
      let here = order.only(packs: packing != nil && request.ranks == 1) { row in
        stranger.map { $0 == row } ?? (rows.site[row] == Int32(site))
      }
      guard request.objection == nil,
        let counts = here.counts(.spread, ranks: request.ranks)
      else { return nil }
      joined += placement(request, counts, fallback: 0).members.map {
        GangMending.Seat(rank: nil, node: $0.node, gpuIndices: $0.gpuIndices)
      }
    }
    return joined
  }
}
