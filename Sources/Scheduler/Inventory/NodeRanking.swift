internal import IorunCore

/// How all nodes suit ranks of one kind: which have room now and idle, and how useful what a rank leaves
/// over stays. Rows are those of the inventory; about 1.3 bytes a node.
struct NodeRanking: Sendable {
  let question: NodeInventory.Question
  /// The nodes with room for a rank, and those that would have room if no job ran.
  private(set) var seats: SeatSet
  private(set) var idle: SeatSet
  /// Of nodes with room (`PackingScore`); all 0 without packing.
  private(set) var scores: ScoreTree

  private var shape: PackingShape?
  /// Which mix its scores are of, by the inventory's number; `nil` before the first.
  private var mix: Int?

  /// What packing knows of the nodes.
  struct Packing {
    var score: PackingScore?
    /// By row: what is free, and what that is worth.
    var rooms: [NodeRoom]
    var worths: [NodeWorth]
    /// Which mix it is of.
    var mix: Int
  }

  init(_ question: NodeInventory.Question, count: Int) {
    self.question = question
    seats = SeatSet(wanted: Amounts(question.resources), count: count)
    idle = SeatSet(wanted: Amounts(question.resources), count: count)
    scores = ScoreTree(count: count)
  }

  /// Takes in all that happened.
  mutating func bringUpToDate(_ rooms: ModelRooms, allowed: RowSet, _ packing: Packing) {
    catchUp(rooms, allowed: allowed, packing)
    guard mix != packing.mix else { return }
    mix = packing.mix
    shape = packing.score?.shape(question.resources, gpuModel: question.gpuModel)
    scores = ScoreTree(count: rooms.free.amounts.count)
    guard let score = packing.score, let shape else { return }
    for (index, word) in seats.rows.words.enumerated() {
      for row in SetBits(word, base: index * RowSet.width) {
        scores.set(
          score.potential.score(shape, on: packing.rooms[row], packing.worths[row]), at: row)
      }
    }
  }

  /// Takes in what happened to nodes; scores of another mix stay as they are.
  mutating func catchUp(_ rooms: ModelRooms, allowed: RowSet, _ packing: Packing) {
    idle.catchUp(rooms.idle, allowed: allowed) { _, _ in }
    guard mix == packing.mix, let potential = packing.score?.potential, let shape else {
      return seats.catchUp(rooms.free, allowed: allowed) { _, _ in }
    }
    seats.catchUp(rooms.free, allowed: allowed) { row, isSeat in
      scores.set(
        isSeat ? potential.score(shape, on: packing.rooms[row], packing.worths[row]) : 0, at: row)
    }
  }

  /// The same with room on these rows alone.
  func only(_ rooms: ModelRooms, where isIn: (Int) -> Bool) -> NodeRanking {
    var part = self
    part.seats = seats.only(rooms.free, where: isIn)
    return part
  }

  /// How many nodes it knows.
  var count: Int { seats.rowCount }

  /// How many changes it has not seen; `nil` where it must count anew.
  func lag(behind rooms: ModelRooms) -> Int? {
    guard let seats = seats.lag(behind: rooms.free), let idle = idle.lag(behind: rooms.idle) else {
      return nil
    }
    return max(seats, idle)
  }

  /// A node leaves. All changes have been seen.
  mutating func remove(_ row: Int, _ rooms: ModelRooms) {
    seats.remove(row, rooms.free)
    idle.remove(row, rooms.idle)
    scores.set(0, at: row)
  }

  /// Rows have moved. All changes have been seen.
  mutating func move(_ move: RowMove) {
    seats.move(move)
    idle.move(move)
    scores = scores.moved(move)
  }

  /// The resource of which one rank takes the greatest share of all that is free, by its place among the
  /// kinds.
  ///
  /// - Parameter excluded: rows that do not count.
  func scarcest(_ free: RoomBook, without excluded: Set<Int>) -> Int {
    var totals = seats.totals
    for row in excluded where seats.rows.contains(row) { totals.subtract(free.amounts[row]) }
    var scarcest = ResourceKind.allCases.firstIndex(of: .cpus) ?? 0
    var greatest = 0.0
    for kind in 0..<4 where seats.wanted[kind] > 0 {
      let share = Double(seats.wanted[kind]) / Double(max(1, totals[kind]))
      if share > greatest { (scarcest, greatest) = (kind, share) }
    }
    return scarcest
  }
}
