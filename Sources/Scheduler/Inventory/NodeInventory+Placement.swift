internal import IorunCore

extension NodeInventory {
  /// What becomes of a request; `GangPlacer` has the words.
  public enum Answer: Sendable, Hashable {
    /// Every rank has a place.
    case placed(GangPlacement)
    /// Not all ranks find one: they would on idle nodes, or never here.
    case refused(fitsWhenIdle: Bool)
  }

  /// Finds a place for every rank, as `GangPlacer` does. Reserves nothing.
  ///
  /// The work is a look at each node that has changed since a like request, and a nanosecond or two for
  /// each 64 nodes.
  /// Gangs that ask for one site or limit suppliers and regions cost as much as with `GangPlacer`
  /// where they are refused.
  ///
  /// - Parameters:
  ///   - request: its `barred` is not looked at.
  ///   - terms: the caller's number of what bars nodes.
  ///   - bars: which nodes the terms leave out. Asked once for each time that a node is told to `update`,
  ///     whatever jobs take of it: where what it says of a node changes, the node is to be told again.
  public mutating func place(
    _ request: GangRequest, terms: Int = 0, bars: (NodeOffer) -> Bool = { _ in false }
  ) -> Answer {
    guard request.objection == nil else { return .refused(fitsWhenIdle: false) }
    let order = order(for: request, terms: terms, bars: bars)
    for (index, strategy) in ([request.placement] + request.fallbacks).enumerated() {
      guard let (counts, lowerBound) = share(request, strategy, order) else { continue }
      var placement = placement(request, counts, fallback: index)
      placement.eligible = order.seatCount
      placement.lowerBoundMilliseconds = lowerBound
      return .placed(placement)
    }
    return .refused(fitsWhenIdle: fitsWhenIdle(request, order, bars))
  }

  /// The nodes with room for a rank of a request, in the order in which they are given ranks.
  mutating func seats(
    for request: GangRequest, terms: Int, bars: (NodeOffer) -> Bool
  ) -> [GangSeat] {
    seats(in: order(for: request, terms: terms, bars: bars)).seats
  }

  private func seats(in order: SeatOrder) -> (rows: [Int], seats: [GangSeat]) {
    let rows = order.all
    return (
      rows,
      rows.map { row in
        GangSeat(
          offer: offers[row], room: ResourceSet(order.free(row)), slots: order.slots(row))
      }
    )
  }

  /// Ranks by row, in the order of seats; `nil` where they do not find room.
  /// Beside them what is proved of the longest round trip, where the strategy asks for that.
  private func share(
    _ request: GangRequest, _ strategy: GangStrategy, _ order: SeatOrder
  ) -> (counts: [(row: Int, ranks: Int)], lowerBound: Float?)? {
    if case .site = strategy { return shareOfSeats(request, strategy, order) }
    guard request.limits == GangDemand.Limits() else {
      return shareOfSeats(request, order.packs ? .spread : strategy, order)
    }
    // One rank lies to no other: the order of the seats alone decides.
    return order.counts(order.packs ? .spread : strategy, ranks: request.ranks).map { ($0, nil) }
  }

  /// The same where sites, suppliers and regions matter.
  private func shareOfSeats(
    _ request: GangRequest, _ strategy: GangStrategy, _ order: SeatOrder
  ) -> (counts: [(row: Int, ranks: Int)], lowerBound: Float?)? {
    let (rows, seats) = seats(in: order)
    let all = GangSeats(seats: seats, sites: sites, ranks: request.ranks, limits: request.limits)
    return all.share(strategy).map { share in
      (zip(rows, share.counts).compactMap { $1 > 0 ? ($0, $1) : nil }, share.lowerBound)
    }
  }

  /// The members of a request whose ranks have rows.
  func placement(
    _ request: GangRequest, _ counts: [(row: Int, ranks: Int)], fallback: Int
  ) -> GangPlacement {
    var members: [GangPlacement.Member] = []
    members.reserveCapacity(request.ranks)
    let gpus = request.resources.gpus
    for (row, ranks) in counts {
      let free = gpus > 0 ? offers[row].freeGPUIndices(matching: request.gpuModel) : []
      for local in 0..<ranks {
        members.append(
          GangPlacement.Member(
            rank: members.count, node: offers[row].node,
            gpuIndices: Array(free.dropFirst(local * gpus).prefix(gpus))))
      }
    }
    return GangPlacement(members: members, fallback: fallback)
  }

  private func fitsWhenIdle(
    _ request: GangRequest, _ order: SeatOrder, _ bars: (NodeOffer) -> Bool
  ) -> Bool {
    let strategies = [request.placement] + request.fallbacks
    let hasSite = strategies.contains { if case .site = $0 { true } else { false } }
    guard !hasSite, request.limits == GangDemand.Limits() else {
      var request = request
      request.barred = [:]
      for offer in offers where bars(offer) { request.barred[offer.node] = "" }
      guard case .refused(let refusal) = placer.place(request, on: offers) else { return true }
      return refusal.fitsWhenIdle
    }
    return strategies.contains { order.fitsWhenIdle($0, ranks: request.ranks) }
  }
}
