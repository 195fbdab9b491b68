/// How long each decision took.
struct DecisionTimes {
  private var nanoseconds: [Int64] = []

  init(capacity: Int) { nanoseconds.reserveCapacity(capacity) }

  mutating func measure<T>(_ decision: () throws -> T) rethrows -> T {
    let clock = ContinuousClock()
    let start = clock.now
    let result = try decision()
    let (seconds, attoseconds) = (clock.now - start).components
    nanoseconds.append(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    return result
  }

  /// The last one was none.
  mutating func dropLast() { _ = nanoseconds.popLast() }

  /// What the record itself takes in memory.
  var byteCount: Int { nanoseconds.capacity * MemoryLayout<Int64>.stride }

  var perSecond: Double {
    let sum = nanoseconds.reduce(0, +)
    return sum > 0 ? Double(nanoseconds.count) * 1e9 / Double(sum) : 0
  }

  /// The time below which the given part of all decisions stayed.
  func microseconds(at quantile: Double) -> Double {
    guard !nanoseconds.isEmpty else { return 0 }
    let sorted = nanoseconds.sorted()
    return Double(sorted[min(sorted.count - 1, Int(quantile * Double(sorted.count)))]) / 1000
  }
}
