/// What decides which of two nodes is given a rank first: the greater of `major`, then of `minor`; of equals
/// the row that comes first.
struct SeatKey: Sendable, Equatable {
  var major: UInt64
  var minor: UInt64

  @inline(__always)
  static func > (_ one: SeatKey, _ other: SeatKey) -> Bool {
    one.major != other.major ? one.major > other.major : one.minor > other.minor
  }
}

/// The best of the rows that come by in ascending order, as many as are wanted: the worst is on top of a heap.
struct BestRows {
  private struct Entry: HeapOrdered {
    var key: SeatKey
    var row: Int

    @inline(__always)
    func isBefore(_ other: Entry) -> Bool {
      key == other.key ? row < other.row : key > other.key
    }

    @inline(__always)
    func precedes(_ other: Entry) -> Bool { other.isBefore(self) }
  }

  private let count: Int
  private var heap = BinaryHeap<Entry>()
  /// Only what is greater is wanted still.
  private(set) var threshold: SeatKey?

  init(count: Int) { self.count = max(0, count) }

  mutating func offer(_ row: Int, _ key: SeatKey) {
    let entry = Entry(key: key, row: row)
    // All are wanted: they are sorted once at the end.
    guard count < .max else { return heap.elements.append(entry) }
    if heap.count < count {
      heap.insert(entry)
      if heap.count == count { threshold = heap.first?.key }
      return
    }
    guard threshold.map({ key > $0 }) ?? false else { return }
    heap.replaceFirst(by: entry)
    threshold = heap.first?.key
  }

  /// The rows, the best first.
  var sorted: [Int] { heap.elements.sorted { $0.isBefore($1) }.map(\.row) }
}
