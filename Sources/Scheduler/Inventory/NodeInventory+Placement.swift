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
  /// The work is some nanoseconds a node, and a look at each node that has changed since a like request.
  /// Gangs that ask for one site or limit suppliers and regions cost as much as with `GangPlacer`
  /// where they are refused.
  ///
  /// - Parameters:
  ///   - request: its `barred` is not looked at.
  ///   - terms: the caller's number of what bars nodes.
  ///   - bars: which nodes the terms leave out. Asked once for each change of a node: where what it
  ///     says of a node changes, the node is to be told to `update`.
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

  /// In which order nodes are given a request's ranks.
  private mutating func order(
    for request: GangRequest, terms: Int, bars: (NodeOffer) -> Bool
  ) -> SeatOrder {
    let question = Question(
      resources: request.resources, gpuModel: (request.gpuModel ?? "").lowercased(), terms: terms)
    return SeatOrder(
      ranking(question, bars: bars), excluded: Set(request.excluding.compactMap(row(of:))),
      packs: packing != nil && request.ranks == 1)
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
          offer: offers[row], room: order.ranking.room(at: row),
          slots: Int(order.ranking.slots[row]))
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

  private func placement(
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

/// The order in which nodes are given ranks, of those with room for one.
struct SeatOrder {
  let ranking: NodeRanking
  /// Rows that must not be used.
  let excluded: Set<Int>
  /// True where scores decide first.
  let packs: Bool
  /// The place of the scarcest resource among the kinds.
  private let scarcest: Int

  init(_ ranking: NodeRanking, excluded: Set<Int>, packs: Bool) {
    self.ranking = ranking
    self.excluded = excluded
    self.packs = packs
    let kind = ranking.scarcest(without: excluded)
    scarcest = ResourceKind.allCases.firstIndex(of: kind) ?? 0
  }

  /// How many rows have room.
  var seatCount: Int { ranking.seatCount - excluded.count { ranking.slots[$0] > 0 } }

  /// All rows with room, in order.
  var all: [Int] { first(.max, by: isBefore) }

  /// True where a row is given ranks before another.
  private func isBefore(_ one: Int, _ other: Int) -> Bool {
    if packs {
      let scores = (ranking.scores[one], ranking.scores[other])
      if scores.0 != scores.1 { return scores.0 > scores.1 }
      // GPUs are taken in one order of nodes, which keeps jobs together and other nodes whole.
      if ranking.question.resources.gpus > 0 { return one < other }
    }
    let (here, there) = (ranking.free[one][scarcest], ranking.free[other][scarcest])
    return here != there ? here > there : one < other
  }

  private func has(_ row: Int) -> Bool { excluded.isEmpty || !excluded.contains(row) }

  /// The first rows with room, in an order.
  private func first(_ count: Int, by isBefore: (Int, Int) -> Bool) -> [Int] {
    var best = BestRows(count: count)
    for row in ranking.slots.indices where ranking.slots[row] > 0 && has(row) {
      best.offer(row, by: isBefore)
    }
    return best.sorted(by: isBefore)
  }

  /// Ranks by row; `nil` where they do not find room as the strategy wants it. Not for sites.
  func counts(_ strategy: GangStrategy, ranks: Int) -> [(row: Int, ranks: Int)]? {
    if packs, excluded.isEmpty, ranking.question.resources.gpus > 0,
      let best = ranking.scores.best
    {
      return [(best, 1)]
    }
    let seats = seatCount
    let slots = ranking.slotCount - excluded.reduce(0) { $0 + Int(max(0, ranking.slots[$1])) }
    switch strategy {
    case .spread, .strictSpread:
      if seats >= ranks { return first(ranks, by: isBefore).map { ($0, 1) } }
      guard strategy == .spread, slots >= ranks else { return nil }
      return inTurn(ranks)
    case .pack:
      return slots >= ranks ? packed(ranks) : nil
    case .strictPack:
      var tightest: Int?
      for row in ranking.slots.indices where Int(ranking.slots[row]) >= ranks && has(row) {
        guard let best = tightest else {
          tightest = row
          continue
        }
        let (here, there) = (ranking.slots[row], ranking.slots[best])
        if here < there || here == there && isBefore(row, best) { tightest = row }
      }
      return tightest.map { [($0, ranks)] }
    case .site: return nil
    }
  }

  /// One rank on each in turn, on fewer nodes than there are ranks.
  private func inTurn(_ ranks: Int) -> [(row: Int, ranks: Int)] {
    let rows = all
    var counts = Array(repeating: 0, count: rows.count)
    var left = ranks
    var open = Array(rows.indices)
    while left > 0, !open.isEmpty {
      open.removeAll { counts[$0] >= Int(ranking.slots[rows[$0]]) }
      for index in open.prefix(left) { counts[index] += 1 }
      left -= min(left, open.count)
    }
    return zip(rows, counts).compactMap { $1 > 0 ? ($0, $1) : nil }
  }

  /// As many on each as it has room for, those with most first.
  private func packed(_ ranks: Int) -> [(row: Int, ranks: Int)] {
    // Each takes one at least.
    let roomiest = first(ranks) { one, other in
      let (here, there) = (ranking.slots[one], ranking.slots[other])
      return here != there ? here > there : isBefore(one, other)
    }
    var left = ranks
    var counts: [(row: Int, ranks: Int)] = []
    for row in roomiest where left > 0 {
      let taken = min(left, Int(ranking.slots[row]))
      counts.append((row, taken))
      left -= taken
    }
    return counts.sorted { isBefore($0.row, $1.row) }
  }

  /// True where the ranks would find room if no job ran. Not for sites.
  func fitsWhenIdle(_ strategy: GangStrategy, ranks: Int) -> Bool {
    let away = excluded.filter { ranking.idleSlots[$0] > 0 }
    switch strategy {
    case .spread, .pack:
      return ranking.idleSlotCount - away.reduce(0) { $0 + Int(ranking.idleSlots[$1]) } >= ranks
    case .strictSpread: return ranking.idleSeatCount - away.count >= ranks
    case .strictPack:
      return ranking.idleSlots.indices.contains { row in
        Int(ranking.idleSlots[row]) >= ranks && has(row)
      }
    case .site: return false
    }
  }
}

/// The best rows of those that come by, as many as are wanted: a heap with the worst on top.
private struct BestRows {
  private let count: Int
  private var heap: [Int] = []

  init(count: Int) { self.count = max(0, count) }

  mutating func offer(_ row: Int, by isBefore: (Int, Int) -> Bool) {
    // All are wanted: they are sorted once at the end.
    guard count < .max else { return heap.append(row) }
    if heap.count < count {
      heap.append(row)
      var child = heap.count - 1
      while child > 0, isBefore(heap[(child - 1) / 2], heap[child]) {
        heap.swapAt(child, (child - 1) / 2)
        child = (child - 1) / 2
      }
      return
    }
    guard let worst = heap.first, isBefore(row, worst) else { return }
    heap[0] = row
    var parent = 0
    while true {
      var next = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && isBefore(heap[next], heap[child]) {
        next = child
      }
      guard next != parent else { return }
      heap.swapAt(parent, next)
      parent = next
    }
  }

  func sorted(by isBefore: (Int, Int) -> Bool) -> [Int] { heap.sorted(by: isBefore) }
}

extension NodeRanking {
  func room(at row: Int) -> ResourceSet {
    var room = ResourceSet()
    for (index, kind) in ResourceKind.allCases.enumerated() { room[kind] = free[row][index] }
    return room
  }
}
