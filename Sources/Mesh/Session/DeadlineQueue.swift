/// Which of many keys is due next, for a process with thousands of sessions: looking costs the same
/// however many there are. A key is due at its earliest noted time or later; what is not due yet when
/// it comes up is noted anew.
struct DeadlineQueue<Key: Hashable & Sendable>: Sendable {
  private struct Entry: Sendable {
    let time: MonotonicTime
    let key: Key
  }

  /// A binary heap, the earliest first. Entries that `noted` does not confirm are stale.
  private var heap: [Entry] = []
  private var noted: [Key: MonotonicTime] = [:]

  /// A time before which nothing is due.
  var first: MonotonicTime? { heap.first?.time }

  /// Notes when a key is due. A later time than the one noted is ignored: the key comes up early.
  mutating func note(_ key: Key, at time: MonotonicTime) {
    if let present = noted[key], present <= time { return }
    noted[key] = time
    heap.append(Entry(time: time, key: key))
    rise()
  }

  /// Forgets a key.
  mutating func forget(_ key: Key) { noted[key] = nil }

  /// Takes the keys that are due.
  mutating func takeDue(_ now: MonotonicTime) -> [Key] {
    var due: [Key] = []
    while let entry = heap.first, entry.time <= now {
      removeFirst()
      guard noted[entry.key] == entry.time else { continue }
      noted[entry.key] = nil
      due.append(entry.key)
    }
    return due
  }

  private mutating func rise() {
    var index = heap.count - 1
    while index > 0 {
      let parent = (index - 1) / 2
      guard heap[index].time < heap[parent].time else { return }
      heap.swapAt(index, parent)
      index = parent
    }
  }

  private mutating func removeFirst() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    heap[0] = last
    var index = 0
    while true {
      var smallest = index
      for child in [2 * index + 1, 2 * index + 2]
      where child < heap.count && heap[child].time < heap[smallest].time {
        smallest = child
      }
      guard smallest != index else { return }
      heap.swapAt(index, smallest)
      index = smallest
    }
  }
}
