internal import IorunCore

/// Places whole gangs on the nodes of a network, by the request's strategy.
///
/// Where nothing else is said, one rank goes to each node in turn, the node with the most free of the
/// scarcest resource first, then by name; a node gets a second rank only when every node that fits has
/// one. A single rank goes where what it leaves over stays most useful (`PackingScore`), where the mix is
/// known. GPUs are given by index and to one rank only. The same request, offers and sites give the same
/// answer, in whatever order the offers come.
public struct GangPlacer: Sendable {
  let sites: NodeSites
  private let packing: PackingScore?

  /// Makes a placer; it keeps nothing between calls.
  ///
  /// - Parameters:
  ///   - sites: how far nodes are from each other, for gangs that ask for it.
  ///   - packing: what leftovers are good for; `nil` where nothing is known of that.
  public init(sites: NodeSites = NodeSites(), packing: PackingScore? = nil) {
    self.sites = sites
    self.packing = packing
  }

  /// Finds a place for every rank, or says why there is none. Reserves nothing.
  ///
  /// The work is `O(offers * log(offers) + ranks)`, and some sixty times `O(offers)` more for a
  /// refusal, which looks for the smallest change that would help.
  public func place(_ request: GangRequest, on offers: [NodeOffer]) -> PlacementResult {
    if let objection = request.objection {
      return .refused(PlacementRefusal(explanation: objection, fitsWhenIdle: false))
    }
    if let twice = firstListedTwice(offers) {
      return .refused(
        PlacementRefusal(
          explanation: "\(twice) stands in the list of nodes twice; this is a fault of iorun",
          fitsWhenIdle: true))
    }
    let seats = self.seats(for: request, on: offers)
    let all = GangSeats(
      seats: seats, sites: sites, ranks: request.ranks, limits: request.limits)
    for (index, strategy) in ([request.placement] + request.fallbacks).enumerated() {
      // One rank lies to no other: the order of the seats alone decides.
      let effective = packs(request) && !strategy.isSite ? .spread : strategy
      guard let share = all.share(effective) else { continue }
      var placement = members(of: request, seats: seats, counts: share.counts, fallback: index)
      placement.eligible = seats.count
      placement.lowerBoundMilliseconds = share.lowerBound
      return .placed(placement)
    }
    return .refused(refusal(request, offers, all))
  }

  /// True where every rank finds a place; without the work of saying why not.
  public func fits(_ request: GangRequest, on offers: [NodeOffer]) -> Bool {
    guard request.objection == nil, firstListedTwice(offers) == nil else { return false }
    let seats = GangSeats(
      seats: seats(for: request, on: offers), sites: sites, ranks: request.ranks,
      limits: request.limits)
    return ([request.placement] + request.fallbacks).contains { seats.counts($0) != nil }
  }

  /// Why not: of room where there is too little of it, else of how the ranks were to lie.
  private func refusal(
    _ request: GangRequest, _ offers: [NodeOffer], _ seats: GangSeats
  ) -> PlacementRefusal {
    var nearby: (ranks: Int, seats: [Int])?
    var near: (nodes: Set<PeerID>, limit: Float)?
    if case .site(let limit?) = request.placement {
      let most = seats.most(within: Float(limit))
      nearby = most
      near = (Set(most.seats.map { seats.seats[$0].offer.node }), Float(limit))
    }
    let explained = RefusalExplanation(request: request, offers: offers, near: near)
    let funnel = explained.funnel
    if let words = limitWords(request, seats) {
      let waits = fitsWhenIdle(request, offers)
      return PlacementRefusal(
        explanation: "\(funnel.text); \(words)\(waits ? "; it fits once running jobs end" : "")",
        fitsWhenIdle: waits, funnel: funnel)
    }
    guard ![.spread, .pack].contains(request.placement), !seats.seats.isEmpty else {
      var refusal = explained.refusal
      let waits = request.placement.isSite || fitsWhenIdle(request, offers)
      refusal.fitsWhenIdle = refusal.fitsWhenIdle && waits
      return refusal
    }
    let strategy = StrategyRefusal(request: request, seats: seats, nearby: nearby)
    let words = "\(funnel.text); \(strategy.words)"
    let waits = fitsWhenIdle(request, offers)
    return PlacementRefusal(
      explanation: waits ? "\(words); it fits once running jobs end" : words,
      fitsWhenIdle: waits || request.placement.isSite, funnel: funnel)
  }

  /// What to say where only the limits of suppliers and regions are in the way; `nil` where not.
  private func limitWords(_ request: GangRequest, _ seats: GangSeats) -> String? {
    guard request.limits != GangDemand.Limits(), seats.withoutLimits.counts(.spread) != nil else {
      return nil
    }
    let most = seats.mostWithinLimits
    guard most < request.ranks else { return nil }
    let parts = [
      request.limits.perSupplier.map { "\($0) on one supplier" },
      request.limits.perCountry.map { "\($0) in one region" },
    ]
    return "at most \(most) of the \(request.ranks) ranks find room with at most "
      + "\(parts.compactMap(\.self).joined(separator: " and ")); "
      + "\(most > 0 ? "lower ranks to \(most), or " : "")let spread_over allow more"
  }

  private func fitsWhenIdle(_ request: GangRequest, _ offers: [NodeOffer]) -> Bool {
    let idle = offers.map(\.idle)
    let seats = GangSeats(
      seats: self.seats(for: request, on: idle), sites: sites, ranks: request.ranks,
      limits: request.limits)
    return ([request.placement] + request.fallbacks).contains { seats.counts($0) != nil }
  }

  /// The nodes with room, in the order in which they are given ranks. That order holds for every
  /// round, because each round takes the same from every node that is still in it.
  private func seats(for request: GangRequest, on offers: [NodeOffer]) -> [GangSeat] {
    let seats = offers.lazy
      .filter(request.allows)
      .map { offer in
        let room = offer.freeRoom(gpuModel: request.gpuModel)
        // More than the gang's ranks count, too: the tightest place is chosen by them.
        let slots = room.slots(for: request.resources, limit: GangRequest.maximumRanks)
        return GangSeat(offer: offer, room: room, slots: slots)
      }
      .filter { $0.slots > 0 }
    let scarcest = scarcestResource(for: request, in: seats.map(\.room))
    let byRoom = seats.sorted { left, right in
      let amounts = (left.room[scarcest], right.room[scarcest])
      if amounts.0 != amounts.1 { return amounts.0 > amounts.1 }
      return (left.offer.name, left.offer.node) < (right.offer.name, right.offer.node)
    }
    guard let packing, packs(request) else { return byRoom }
    let scored = byRoom.map { seat in
      (seat, packing.score(request.resources, gpuModel: request.gpuModel, on: seat.offer))
    }
    let wantsGPUs = request.resources.gpus > 0
    // Equal scores: GPUs are taken in one order of nodes, which keeps jobs together and other nodes
    // whole; cores where most are free, as ever.
    return scored.enumerated().sorted { left, right in
      let scores = (left.element.1, right.element.1)
      if scores.0 != scores.1 { return scores.0 > scores.1 }
      guard wantsGPUs else { return left.offset < right.offset }
      let offers = (left.element.0.offer, right.element.0.offer)
      return (offers.0.name, offers.0.node) < (offers.1.name, offers.1.node)
    }.map(\.element.0)
  }

  /// True for a request that packing orders nodes for.
  private func packs(_ request: GangRequest) -> Bool { packing != nil && request.ranks == 1 }

  /// The resource of which one rank takes the greatest share of all that is free.
  private func scarcestResource(for request: GangRequest, in rooms: [ResourceSet]) -> ResourceKind {
    var scarcest = ResourceKind.cpus
    var greatestShare = 0.0
    for kind in ResourceKind.allCases where request.resources[kind] > 0 {
      // Saturating sums of integers, so that the order of the rooms cannot matter.
      let total = rooms.reduce(UInt64.zero) { sum, room in
        let (next, overflow) = sum.addingReportingOverflow(room[kind])
        return overflow ? .max : next
      }
      let share = Double(request.resources[kind]) / Double(max(1, total))
      if share > greatestShare { (scarcest, greatestShare) = (kind, share) }
    }
    return scarcest
  }

  private func members(
    of request: GangRequest, seats: [GangSeat], counts: [Int], fallback: Int
  ) -> GangPlacement {
    var members: [GangPlacement.Member] = []
    members.reserveCapacity(request.ranks)
    for (seat, count) in zip(seats, counts) where count > 0 {
      let free = seat.offer.freeGPUIndices(matching: request.gpuModel)
      for local in 0..<count {
        let gpus = free.dropFirst(local * request.resources.gpus).prefix(request.resources.gpus)
        members.append(
          GangPlacement.Member(
            rank: members.count, node: seat.offer.node, gpuIndices: Array(gpus)))
      }
    }
    return GangPlacement(members: members, fallback: fallback)
  }

  /// The name of a node that is offered more than once: its room would be given twice.
  private func firstListedTwice(_ offers: [NodeOffer]) -> String? {
    var counts: [PeerID: Int] = [:]
    for offer in offers { counts[offer.node, default: 0] += 1 }
    guard counts.count < offers.count else { return nil }
    return offers.filter { counts[$0.node, default: 0] > 1 }.map(\.name).min()
  }
}

extension GangStrategy {
  /// True where it depends on round trips. These are measured anew all the time: what is too far apart
  /// now may not be for ever.
  fileprivate var isSite: Bool { if case .site = self { true } else { false } }
}
