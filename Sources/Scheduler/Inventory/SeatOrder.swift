internal import IorunCore

/// The order in which nodes are given ranks, of those with room for one.
///
/// A search goes by 64 neighbours at a time, in the order of rows: where none of them has room, or the best
/// that they could be does not reach the worst of those found, they are passed by without a look. Rows that
/// come later lose ties, so what is only as good is passed by, too.
struct SeatOrder {
  private let ranking: NodeRanking
  private let rooms: ModelRooms
  /// Rows that must not be used.
  private let excluded: Set<Int>
  /// True where scores decide first.
  let packs: Bool
  /// The place of the scarcest resource among the kinds.
  private let scarcest: Int
  /// True where the ranking's best row may have no part in it.
  private let isPart: Bool

  init(
    _ ranking: NodeRanking, _ rooms: ModelRooms, excluded: Set<Int>, packs: Bool,
    isPart: Bool = false
  ) {
    self.isPart = isPart
    self.ranking = ranking
    self.rooms = rooms
    self.excluded = excluded
    self.packs = packs
    scarcest = ranking.scarcest(rooms.free, without: excluded)
  }

  /// The order of these rows alone; its idle rooms are still those of all.
  func only(packs: Bool, where isIn: (Int) -> Bool) -> SeatOrder {
    SeatOrder(
      ranking.only(rooms, where: isIn), rooms, excluded: excluded, packs: packs, isPart: true)
  }

  /// Each row with room, by number.
  func forEachSeat(_ body: (_ row: Int, _ slots: Int) -> Void) {
    for (block, word) in ranking.seats.rows.words.enumerated() where word != 0 {
      for row in SetBits(word, base: block * RowSet.width)
      where excluded.isEmpty || !excluded.contains(row) { body(row, slots(row)) }
    }
  }

  /// True for a row with room.
  func hasSeat(_ row: Int) -> Bool { ranking.seats.rows.contains(row) && !excluded.contains(row) }

  /// What is free of a row.
  func free(_ row: Int) -> Amounts { rooms.free.amounts[row] }

  /// For how many ranks a row with room has it.
  func slots(_ row: Int) -> Int {
    free(row).slots(ranking.seats.wanted, limit: GangRequest.maximumRanks)
  }

  /// How many rows have room.
  var seatCount: Int { count(ranking.seats) }

  private func count(_ seats: SeatSet) -> Int {
    seats.count - excluded.count { seats.rows.contains($0) }
  }

  /// All rows with room, in order.
  var all: [Int] { best(.max) }

  private var wantsGPUs: Bool { ranking.question.resources.gpus > 0 }

  /// True where a row is given ranks before another.
  private func isBefore(_ one: Int, _ other: Int) -> Bool {
    let (here, there) = (key(one), key(other))
    return here == there ? one < other : here > there
  }

  /// What decides about a row.
  private func key(_ row: Int) -> SeatKey {
    key(score: ranking.scores[row], amount: free(row)[scarcest])
  }

  /// No row of a block has a greater one.
  private func bound(_ block: Int) -> SeatKey {
    key(score: ranking.scores.most(ofBlock: block), amount: rooms.free.most[block][scarcest])
  }

  /// Scores decide first where there is packing. GPUs are taken in one order of nodes then, which keeps jobs
  /// together and other nodes whole; cores where most are free.
  @inline(__always)
  private func key(score: UInt8, amount: UInt64) -> SeatKey {
    SeatKey(major: packs ? UInt64(score) : 0, minor: packs && wantsGPUs ? 0 : amount)
  }

  /// The first rows with room, in order.
  ///
  /// Hot path of gangs and of ranks without GPUs. Watched by `SchedulerBench nodes`.
  private func best(_ count: Int) -> [Int] {
    rooms.free.withAmounts(of: scarcest) { amounts, most in
      ranking.scores.withScores { scores, blocks in
        best(count) {
          key(score: scores[$0], amount: amounts[$0])
        } bound: {
          key(score: blocks[$0], amount: most[$0])
        }
      }
    }
  }

  /// The first rows with room by any order.
  ///
  /// - Parameter bound: no row of a block has a greater key.
  @inline(__always)
  private func best(
    _ count: Int, key: (_ row: Int) -> SeatKey, bound: (_ block: Int) -> SeatKey
  ) -> [Int] {
    var best = BestRows(count: count)
    let words = ranking.seats.rows.words
    for block in words.indices where words[block] != 0 {
      if let threshold = best.threshold, !(bound(block) > threshold) { continue }
      for row in SetBits(words[block], base: block * RowSet.width)
      where excluded.isEmpty || !excluded.contains(row) {
        let key = key(row)
        if let threshold = best.threshold, !(key > threshold) { continue }
        best.offer(row, key)
      }
    }
    return best.sorted
  }

  /// Ranks by row; `nil` where they do not find room as the strategy wants it. Not for sites.
  func counts(_ strategy: GangStrategy, ranks: Int) -> [(row: Int, ranks: Int)]? {
    if packs, !isPart, excluded.isEmpty, wantsGPUs, let best = ranking.scores.best {
      return [(best, 1)]
    }
    switch strategy {
    case .spread, .strictSpread:
      if seatCount >= ranks { return best(ranks).map { ($0, 1) } }
      guard strategy == .spread, hasSlots(ranks, ranking.seats, rooms.free) else { return nil }
      return inTurn(ranks)
    case .pack:
      return hasSlots(ranks, ranking.seats, rooms.free) ? packed(ranks) : nil
    case .strictPack:
      return tightest(ranks).map { [($0, ranks)] }
    case .site: return nil
    }
  }

  /// True where these nodes have room for so many ranks together.
  private func hasSlots(_ ranks: Int, _ seats: SeatSet, _ book: RoomBook) -> Bool {
    // Each has room for one at least: there are few to look at where that is not enough.
    guard count(seats) < ranks else { return true }
    var missing = ranks
    for (block, word) in seats.rows.words.enumerated() {
      for row in SetBits(word, base: block * RowSet.width) where !excluded.contains(row) {
        missing -= book.amounts[row].slots(seats.wanted, limit: GangRequest.maximumRanks)
        if missing <= 0 { return true }
      }
    }
    return false
  }

  /// The row with the least room of those that have it for so many ranks.
  private func tightest(_ ranks: Int) -> Int? {
    var tightest: (row: Int, slots: Int)?
    for (block, word) in ranking.seats.rows.words.enumerated()
    where word != 0 && mostSlots(rooms.free, block) >= ranks {
      // None is tighter than one that is full then.
      if let best = tightest, best.slots == ranks, !(bound(block) > key(best.row)) { continue }
      for row in SetBits(word, base: block * RowSet.width) where !excluded.contains(row) {
        let slots = slots(row)
        guard slots >= ranks else { continue }
        if let best = tightest,
          slots > best.slots || slots == best.slots && !isBefore(row, best.row)
        {
          continue
        }
        tightest = (row, slots)
      }
    }
    return tightest?.row
  }

  /// No row of a block has room for more ranks.
  private func mostSlots(_ book: RoomBook, _ block: Int) -> Int {
    book.most[block].slots(ranking.seats.wanted, limit: GangRequest.maximumRanks)
  }

  /// One rank on each in turn, on fewer nodes than there are ranks.
  private func inTurn(_ ranks: Int) -> [(row: Int, ranks: Int)] {
    let rows = all
    let slots = rows.map(slots)
    var counts = Array(repeating: 0, count: rows.count)
    var left = ranks
    var open = Array(rows.indices)
    while left > 0, !open.isEmpty {
      open.removeAll { counts[$0] >= slots[$0] }
      for index in open.prefix(left) { counts[index] += 1 }
      left -= min(left, open.count)
    }
    return zip(rows, counts).compactMap { $1 > 0 ? ($0, $1) : nil }
  }

  /// As many on each as it has room for, those with most first.
  private func packed(_ ranks: Int) -> [(row: Int, ranks: Int)] {
    // Each takes one at least.
    let roomiest = best(ranks) {
      SeatKey(major: UInt64(slots($0)), minor: key($0).minor)
    } bound: {
      SeatKey(major: UInt64(mostSlots(rooms.free, $0)), minor: bound($0).minor)
    }
    var left = ranks
    var counts: [(row: Int, ranks: Int)] = []
    for row in roomiest where left > 0 {
      let taken = min(left, slots(row))
      counts.append((row, taken))
      left -= taken
    }
    return counts.sorted { isBefore($0.row, $1.row) }
  }

  /// True where the ranks would find room if no job ran. Not for sites.
  func fitsWhenIdle(_ strategy: GangStrategy, ranks: Int) -> Bool {
    switch strategy {
    case .spread, .pack: return hasSlots(ranks, ranking.idle, rooms.idle)
    case .strictSpread: return count(ranking.idle) >= ranks
    case .strictPack:
      return ranking.idle.rows.words.enumerated().contains { block, word in
        guard word != 0, mostSlots(rooms.idle, block) >= ranks else { return false }
        return SetBits(word, base: block * RowSet.width).contains { row in
          !excluded.contains(row)
            && rooms.idle.amounts[row].slots(
              ranking.idle.wanted, limit: GangRequest.maximumRanks) >= ranks
        }
      }
    case .site: return false
    }
  }
}

extension ResourceSet {
  /// Amounts by kind.
  init(_ amounts: Amounts) {
    self.init()
    for (index, kind) in ResourceKind.allCases.enumerated() { self[kind] = amounts[index] }
  }
}
