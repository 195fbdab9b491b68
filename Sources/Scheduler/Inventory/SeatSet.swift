/// The nodes with room for a rank of one kind, and what they have together: kept change by change.
struct SeatSet: Sendable {
  /// What a rank takes.
  let wanted: Amounts
  private(set) var rows: RowSet
  private(set) var count = 0
  /// What these nodes have of each resource together.
  private(set) var totals = AmountTotals()
  /// The first change that it has not seen; `nil` where it has seen nothing.
  private var seen: Int?

  /// How many nodes it knows.
  private(set) var rowCount: Int

  init(wanted: Amounts, count: Int) {
    self.wanted = wanted
    rowCount = count
    rows = RowSet(count: count)
  }

  /// How many changes it has not seen; `nil` where it must count anew.
  func lag(behind book: RoomBook) -> Int? {
    guard let seen, seen >= book.first else { return nil }
    return book.end - seen
  }

  /// Takes in what happened.
  ///
  /// Hot path: it runs for each kind of rank and each change. Watched by `SchedulerBench nodes`.
  ///
  /// - Parameters:
  ///   - allowed: the rows that may be used at all.
  ///   - changed: is told each row that lost its room, and each that has room after a change.
  mutating func catchUp(
    _ book: RoomBook, allowed: RowSet, changed: (_ row: Int, _ isSeat: Bool) -> Void
  ) {
    guard let seen, seen >= book.first else { return countAnew(book, allowed, changed) }
    guard seen < book.end else { return }
    for change in book.changes(since: seen) {
      let row = Int(change.row)
      let isSeat = change.isLast && change.after.covers(wanted) && allowed.contains(row)
      // What it was counted with is what it had before the first change that was not seen.
      if change.previous < seen, rows.contains(row) {
        rows.remove(row)
        count -= 1
        totals.subtract(change.before)
        if !isSeat { changed(row, false) }
      }
      guard isSeat else { continue }
      add(row, change.after)
      changed(row, true)
    }
    self.seen = book.end
  }

  private mutating func countAnew(
    _ book: RoomBook, _ allowed: RowSet, _ changed: (_ row: Int, _ isSeat: Bool) -> Void
  ) {
    rows = RowSet(count: book.amounts.count)
    count = 0
    totals = AmountTotals()
    for row in book.amounts.indices {
      let isSeat = book.amounts[row].covers(wanted) && allowed.contains(row)
      if isSeat { add(row, book.amounts[row]) }
      // Whatever was said of it before.
      changed(row, isSeat)
    }
    seen = book.end
  }

  private mutating func add(_ row: Int, _ amounts: Amounts) {
    rows.insert(row)
    count += 1
    totals.add(amounts)
  }

  /// The rows of these alone. All changes have been seen.
  func only(_ book: RoomBook, where isIn: (Int) -> Bool) -> SeatSet {
    var part = SeatSet(wanted: wanted, count: rowCount)
    part.seen = seen
    for (block, word) in rows.words.enumerated() where word != 0 {
      for row in SetBits(word, base: block * RowSet.width) where isIn(row) {
        part.add(row, book.amounts[row])
      }
    }
    return part
  }

  /// A node leaves. All changes have been seen.
  mutating func remove(_ row: Int, _ book: RoomBook) {
    guard rows.contains(row) else { return }
    rows.remove(row)
    count -= 1
    totals.subtract(book.amounts[row])
  }

  /// Rows have moved. All changes have been seen, and rows that left are not in it.
  mutating func move(_ move: RowMove) {
    rows = rows.moved(move)
    rowCount = move.count
  }
}

/// Exact sums of amounts, which 64 bits may not hold.
struct AmountTotals: Sendable, Equatable {
  private var low = Amounts(repeating: 0)
  private var high = Amounts(repeating: 0)

  mutating func add(_ amounts: Amounts) {
    low &+= amounts
    for kind in 0..<4 where low[kind] < amounts[kind] { high[kind] &+= 1 }
  }

  /// What was added before.
  mutating func subtract(_ amounts: Amounts) {
    for kind in 0..<4 where low[kind] < amounts[kind] { high[kind] &-= 1 }
    low &-= amounts
  }

  /// The sum of one kind, or the greatest number where it is more.
  subscript(kind: Int) -> UInt64 { high[kind] > 0 ? .max : low[kind] }
}
