/// Ends to come, the earliest first: a binary heap. An end whose start was taken back stays in it and
/// is known by its number.
struct EndHeap: Sendable {
  struct End: Sendable, Hashable {
    let atSeconds: Double
    let job: Int
    /// Which start of the job this ends.
    let start: Int

    func precedes(_ other: End) -> Bool {
      (atSeconds, job, start) < (other.atSeconds, other.job, other.start)
    }
  }

  private var ends: [End] = []

  var first: End? { ends.first }

  mutating func insert(_ end: End) {
    ends.append(end)
    var index = ends.count - 1
    while index > 0, ends[index].precedes(ends[(index - 1) / 2]) {
      ends.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  mutating func removeFirst() {
    guard let last = ends.popLast(), !ends.isEmpty else { return }
    ends[0] = last
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < ends.count {
        if ends[child].precedes(ends[least]) { least = child }
      }
      if least == index { return }
      ends.swapAt(index, least)
      index = least
    }
  }
}
