/// Which nodes may be used under one caller's terms: nodes that take work and that the terms do not bar.
struct NodeTermsBook: Sendable {
  private(set) var allowed: RowSet
  /// The first telling that it has not seen; `nil` where it has seen nothing.
  private var seen: Int?

  init(count: Int) { allowed = RowSet(count: count) }

  /// Judges the nodes that were told since the last time.
  ///
  /// - Returns: the rows of which that changed; not of a book that judges all for the first time.
  mutating func catchUp(
    _ told: NodeTellings, _ offers: [NodeOffer], bars: (NodeOffer) -> Bool
  ) -> [Int] {
    var changed: [Int] = []
    func judge(_ row: Int) {
      let isAllowed = offers[row].isPlaceable && !bars(offers[row])
      guard isAllowed != allowed.contains(row) else { return }
      if isAllowed { allowed.insert(row) } else { allowed.remove(row) }
      changed.append(row)
    }
    let isFirst = seen == nil
    told.rows(since: seen ?? 0).forEach(judge)
    seen = told.end
    return isFirst ? [] : changed
  }

  /// Rows have moved.
  mutating func move(_ move: RowMove) { allowed = allowed.moved(move) }
}

/// Which nodes were told anew, oldest first.
struct NodeTellings: Sendable {
  private static let longestLog = 4096

  /// By row: which telling was the last of it.
  private var last: [Int] = []
  private var log: [Int32] = []
  private var first = 0

  /// The number of the next telling.
  var end: Int { first + log.count }

  mutating func note(_ row: Int) {
    last[row] = end
    log.append(Int32(row))
    guard log.count > Self.longestLog else { return }
    log.removeFirst(Self.longestLog / 2)
    first += Self.longestLog / 2
  }

  /// The rows that were told since, each once.
  func rows(since number: Int) -> [Int] {
    guard number >= first else { return last.indices.filter { last[$0] >= number } }
    return (number..<end).compactMap { number in
      let row = Int(log[number - first])
      return last[row] == number ? row : nil
    }
  }

  /// Rows have moved: the log speaks of the old ones.
  mutating func move(_ move: RowMove) {
    first = end
    log = []
    last = move.moved(last, new: 0)
  }
}
