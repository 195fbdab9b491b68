internal import IorunCore

/// How all nodes suit ranks of one kind: for how many each has room now and idle, what is free there,
/// and how useful what a rank leaves over stays. Rows are those of the inventory.
struct NodeRanking: Sendable {
  let question: NodeInventory.Question
  /// The first change that it has not seen.
  var seen = 0

  /// What is free of each kind of resource, in the order of `ResourceKind.allCases`; of nodes without
  /// room for a rank, too.
  private(set) var free: [SIMD4<UInt64>]
  /// For how many ranks there is room; 0 where none may be placed.
  private(set) var slots: [Int32]
  /// The same if no job ran.
  private(set) var idleSlots: [Int32]
  /// Of nodes with room (`PackingScore`); all 0 without packing.
  private(set) var scores: ScoreTree

  /// How many nodes have room, for how many ranks, and what is free of each resource on these.
  private(set) var seatCount = 0
  private(set) var slotCount = 0
  private(set) var totals: [UInt128] = [0, 0, 0, 0]
  /// How many would have room if no job ran, and for how many ranks.
  private(set) var idleSeatCount = 0
  private(set) var idleSlotCount = 0

  private var packing: PackingScore?
  private var shape: PackingShape?
  /// Which mix its scores are of, by the inventory's number.
  private(set) var mix: Int

  init(_ question: NodeInventory.Question, count: Int, packing: PackingScore?, mix: Int) {
    self.question = question
    self.packing = packing
    self.mix = mix
    shape = packing?.shape(question.resources, gpuModel: question.gpuModel)
    free = Array(repeating: SIMD4(repeating: 0), count: count)
    slots = Array(repeating: 0, count: count)
    idleSlots = Array(repeating: 0, count: count)
    scores = ScoreTree(count: count)
  }

  /// A node is as `offer` says.
  ///
  /// - Parameter room: what packing knows of it.
  mutating func set(
    _ row: Int, _ offer: NodeOffer, isAllowed: Bool, room: (room: NodeRoom, potential: Float)?
  ) {
    forget(row)
    guard isAllowed else { return }
    let most = GangRequest.maximumRanks
    idleSlots[row] = Int32(
      offer.idleRoom(gpuModel: question.gpuModel).slots(for: question.resources, limit: most))
    guard idleSlots[row] > 0 else { return }
    idleSeatCount += 1
    idleSlotCount += Int(idleSlots[row])
    let left = offer.freeRoom(gpuModel: question.gpuModel)
    slots[row] = Int32(left.slots(for: question.resources, limit: most))
    guard slots[row] > 0 else { return }
    seatCount += 1
    slotCount += Int(slots[row])
    free[row] = SIMD4(left[.gpus], left[.cpus], left[.memory], left[.disk])
    for kind in 0..<4 { totals[kind] += UInt128(free[row][kind]) }
    if let packing, let shape, let room {
      let score = packing.potential.evaluate(shape, on: room.room, before: room.potential).score
      scores.set(score, at: row)
    }
  }

  /// The mix that leftovers are judged by has changed: room has not.
  mutating func rescore(
    _ packing: PackingScore?, mix: Int, room: (Int) -> (room: NodeRoom, potential: Float)
  ) {
    self.packing = packing
    self.mix = mix
    shape = packing?.shape(question.resources, gpuModel: question.gpuModel)
    scores = ScoreTree(count: slots.count)
    guard let packing, let shape else { return }
    for row in slots.indices where slots[row] > 0 {
      let (room, before) = room(row)
      scores.set(packing.potential.evaluate(shape, on: room, before: before).score, at: row)
    }
  }

  private mutating func forget(_ row: Int) {
    if idleSlots[row] > 0 {
      idleSeatCount -= 1
      idleSlotCount -= Int(idleSlots[row])
      idleSlots[row] = 0
    }
    guard slots[row] > 0 else { return }
    seatCount -= 1
    slotCount -= Int(slots[row])
    slots[row] = 0
    for kind in 0..<4 { totals[kind] -= UInt128(free[row][kind]) }
    scores.set(0, at: row)
  }

  /// Rows have moved.
  ///
  /// - Parameter before: by new row the row before, or -1 for a node that is new; no row comes twice.
  mutating func rearrange(_ before: [Int]) {
    var stays = Array(repeating: false, count: slots.count)
    for row in before where row >= 0 { stays[row] = true }
    for row in stays.indices where !stays[row] { forget(row) }
    var moved = ScoreTree(count: before.count)
    for (row, old) in before.enumerated() where old >= 0 { moved.set(scores[old], at: row) }
    scores = moved
    free = before.map { $0 < 0 ? SIMD4(repeating: 0) : free[$0] }
    slots = before.map { $0 < 0 ? 0 : slots[$0] }
    idleSlots = before.map { $0 < 0 ? 0 : idleSlots[$0] }
  }

  /// The resource of which one rank takes the greatest share of all that is free.
  ///
  /// - Parameter excluded: rows that do not count.
  func scarcest(without excluded: Set<Int>) -> ResourceKind {
    var totals = totals
    for row in excluded where slots[row] > 0 {
      for kind in 0..<4 { totals[kind] -= UInt128(free[row][kind]) }
    }
    var scarcest = ResourceKind.cpus
    var greatest = 0.0
    for (index, kind) in ResourceKind.allCases.enumerated() {
      let wanted = question.resources[kind]
      guard wanted > 0 else { continue }
      let share = Double(wanted) / Double(max(1, UInt64(clamping: totals[index])))
      if share > greatest { (scarcest, greatest) = (kind, share) }
    }
    return scarcest
  }
}
