internal import IorunCore

/// Amounts of each kind of resource, in the order of `ResourceKind.allCases`.
typealias Amounts = SIMD4<UInt64>

extension SIMD4<UInt64> {
  init(_ resources: ResourceSet) {
    self.init(resources[.gpus], resources[.cpus], resources[.memory], resources[.disk])
  }

  /// True where each amount is there.
  @inline(__always)
  func covers(_ wanted: Amounts) -> Bool {
    self[0] >= wanted[0] && self[1] >= wanted[1] && self[2] >= wanted[2] && self[3] >= wanted[3]
  }

  /// How many times `wanted` fits in here, counted up to `limit`.
  func slots(_ wanted: Amounts, limit: Int) -> Int {
    var slots = UInt64(limit)
    for kind in 0..<4 where wanted[kind] > 0 { slots = Swift.min(slots, self[kind] / wanted[kind]) }
    return Int(slots)
  }

  /// The larger of each kind.
  @inline(__always)
  func most(_ other: Amounts) -> Amounts {
    Amounts(
      Swift.max(self[0], other[0]), Swift.max(self[1], other[1]), Swift.max(self[2], other[2]),
      Swift.max(self[3], other[3]))
  }
}

/// What all nodes have of each resource, with the most that any of 64 neighbours has, so that a search can
/// pass these by, and a log of changes for those that keep count of it.
struct RoomBook: Sendable {
  /// A row is to be looked at again.
  struct Change: Sendable {
    /// What it had until then, and has since.
    var before: Amounts
    var after: Amounts
    /// The row's change before this one; -1 where there was none.
    var previous: Int
    var row: Int32
    /// False where the row has changed again since.
    var isLast = true
  }

  /// The most changes that are kept, of some 100 bytes each.
  private static let longestLog = 8192

  private(set) var amounts: [Amounts]
  /// By 64 rows: no row of these has more of a kind.
  private(set) var most: [Amounts] = []
  private var log: [Change] = []
  /// The number of the first change that is kept.
  private(set) var first = 0
  private var lastChange: [Int]

  init(_ amounts: [Amounts]) {
    self.amounts = amounts
    lastChange = Array(repeating: -1, count: amounts.count)
    most = stride(from: 0, to: amounts.count, by: RowSet.width).map { most(from: $0) }
  }

  /// One kind of amount of each row.
  struct Column {
    fileprivate let bytes: UnsafeRawBufferPointer
    fileprivate let offset: Int

    @inline(__always)
    subscript(row: Int) -> UInt64 {
      bytes.load(fromByteOffset: row * MemoryLayout<Amounts>.stride + offset, as: UInt64.self)
    }
  }

  /// One kind of each row's amounts, and the most of it by 64 rows.
  func withAmounts<Result>(of kind: Int, _ body: (_ amounts: Column, _ most: Column) -> Result)
    -> Result
  {
    let offset = kind * MemoryLayout<UInt64>.stride
    return amounts.withUnsafeBytes { amounts in
      most.withUnsafeBytes { most in
        body(Column(bytes: amounts, offset: offset), Column(bytes: most, offset: offset))
      }
    }
  }

  /// The number of the next change.
  var end: Int { first + log.count }

  /// The changes from a number on.
  func changes(since number: Int) -> ArraySlice<Change> { log[(number - first)...] }

  /// A row is to be looked at again, and has so much from now on.
  mutating func set(_ row: Int, _ now: Amounts) {
    let before = amounts[row]
    let previous = lastChange[row]
    if previous >= first { log[previous - first].isLast = false }
    log.append(Change(before: before, after: now, previous: previous, row: Int32(row)))
    lastChange[row] = end - 1
    if log.count > Self.longestLog {
      // Who has not seen these counts anew.
      log.removeFirst(Self.longestLog / 2)
      first += Self.longestLog / 2
    }
    guard before != now else { return }
    amounts[row] = now
    let block = row / RowSet.width
    let old = most[block]
    // Only who had the most of a kind and lost some of it lowers what is the most.
    let lowers = (0..<4).contains { before[$0] == old[$0] && now[$0] < before[$0] }
    most[block] = lowers ? most(from: block * RowSet.width) : old.most(now)
  }

  /// Rows have moved; who has not seen the changes until now counts anew.
  mutating func move(_ move: RowMove) {
    amounts = move.moved(amounts, new: Amounts(repeating: 0))
    first = end
    log = []
    lastChange = Array(repeating: -1, count: amounts.count)
    most = stride(from: 0, to: amounts.count, by: RowSet.width).map { most(from: $0) }
  }

  private func most(from row: Int) -> Amounts {
    var most = Amounts(repeating: 0)
    for row in row..<min(row + RowSet.width, amounts.count) { most = most.most(amounts[row]) }
    return most
  }
}

/// What nodes could give to ranks that want GPUs of one model: now, and if no job ran.
struct ModelRooms: Sendable {
  /// A part of the model's name in lower case; empty for any.
  let gpuModel: String
  var free: RoomBook
  var idle: RoomBook

  init(_ gpuModel: String, offers: [NodeOffer]) {
    self.gpuModel = gpuModel
    free = RoomBook(offers.map { Amounts($0.freeRoom(gpuModel: gpuModel)) })
    idle = RoomBook(offers.map { Amounts($0.idleRoom(gpuModel: gpuModel)) })
  }

  /// Jobs took or gave back something.
  mutating func noteUse(_ row: Int, _ offer: NodeOffer) {
    free.set(row, Amounts(offer.freeRoom(gpuModel: gpuModel)))
  }

  /// The node itself has changed.
  mutating func noteNode(_ row: Int, _ offer: NodeOffer) {
    noteUse(row, offer)
    idle.set(row, Amounts(offer.idleRoom(gpuModel: gpuModel)))
  }

  /// Whether the node may be used has changed.
  mutating func noteTerms(_ row: Int) {
    free.set(row, free.amounts[row])
    idle.set(row, idle.amounts[row])
  }

  mutating func move(_ move: RowMove) {
    free.move(move)
    idle.move(move)
  }
}
