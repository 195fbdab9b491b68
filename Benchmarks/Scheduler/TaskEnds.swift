import IorunScheduler

/// Running tasks by their ends, the earliest first: a binary heap.
struct TaskEnds {
  /// A task that runs.
  struct End {
    var atSeconds: Double
    /// Its number by arrival; of equal ends the older task's comes first.
    var task: Int
    var shape: Int
    var placement: PackingCluster.Placement

    func precedes(_ other: End) -> Bool {
      (atSeconds, task) < (other.atSeconds, other.task)
    }
  }

  private var ends: [End] = []

  /// What it takes in memory.
  var byteCount: Int { ends.capacity * MemoryLayout<End>.stride }

  var isEmpty: Bool { ends.isEmpty }

  mutating func insert(_ end: End) {
    ends.append(end)
    var index = ends.count - 1
    while index > 0, ends[index].precedes(ends[(index - 1) / 2]) {
      ends.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  mutating func popFirst() -> End? {
    guard let first = ends.first, let last = ends.popLast() else { return nil }
    guard !ends.isEmpty else { return first }
    ends[0] = last
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2]
      where child < ends.count && ends[child].precedes(ends[least]) {
        least = child
      }
      if least == index { return first }
      ends.swapAt(index, least)
      index = least
    }
  }
}
