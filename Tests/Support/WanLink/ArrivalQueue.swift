/// Packets on their way, the next to arrive first; those of one time in the order they were sent.
/// A binary heap.
struct ArrivalQueue {
  /// A packet on its way.
  struct Entry {
    var arrival: Duration
    var order: UInt64
    /// Where its bytes are.
    var slot: Int
    var length: Int

    static func < (one: Entry, other: Entry) -> Bool {
      one.arrival == other.arrival ? one.order < other.order : one.arrival < other.arrival
    }
  }

  private var heap: [Entry] = []
  private var sent: UInt64 = 0

  /// When the next packet arrives.
  var nextArrival: Duration? { heap.first?.arrival }

  mutating func insert(slot: Int, length: Int, arrival: Duration) {
    heap.append(Entry(arrival: arrival, order: sent, slot: slot, length: length))
    sent += 1
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes out the next packet if it has arrived by `now`.
  mutating func takeArrived(by now: Duration) -> Entry? {
    guard let first = heap.first, first.arrival <= now else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child] < heap[least] { least = child }
      }
      if least == parent { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
