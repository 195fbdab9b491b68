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

/// The best of the rows that come by in ascending order, as many as are wanted: a heap with the worst on top.
struct BestRows {
  private struct Entry {
    var key: SeatKey
    var row: Int

    @inline(__always)
    func isBefore(_ other: Entry) -> Bool {
      key == other.key ? row < other.row : key > other.key
    }
  }

  private let count: Int
  private var heap: [Entry] = []
  /// Only what is greater is wanted still.
  private(set) var threshold: SeatKey?

  init(count: Int) { self.count = max(0, count) }

  mutating func offer(_ row: Int, _ key: SeatKey) {
    let entry = Entry(key: key, row: row)
    // All are wanted: they are sorted once at the end.
    guard count < .max else { return heap.append(entry) }
    if heap.count < count {
      heap.append(entry)
      var child = heap.count - 1
      while child > 0, heap[(child - 1) / 2].isBefore(heap[child]) {
        heap.swapAt(child, (child - 1) / 2)
        child = (child - 1) / 2
      }
      if heap.count == count { threshold = heap[0].key }
      return
    }
    guard threshold.map({ key > $0 }) ?? false else { return }
    heap[0] = entry
    var parent = 0
    while true {
      var next = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[next].isBefore(heap[child]) {
        next = child
      }
      guard next != parent else { break }
      heap.swapAt(parent, next)
      parent = next
    }
    threshold = heap[0].key
  }

  /// The rows, the best first.
  var sorted: [Int] { heap.sorted { $0.isBefore($1) }.map(\.row) }
}
