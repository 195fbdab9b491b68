import Glibc

/// How long each decision took by the clock on the wall, and how much of that this thread had a processor.
struct DecisionTimes {
  private var nanoseconds: [Int64] = []
  private var processorNanoseconds: Int64 = 0
  private var lastProcessorNanoseconds: Int64 = 0

  init(capacity: Int) { nanoseconds.reserveCapacity(capacity) }

  mutating func measure<T>(_ decision: () throws -> T) rethrows -> T {
    let clock = ContinuousClock()
    let processorStart = Self.processorNanoseconds()
    let start = clock.now
    let result = try decision()
    let (seconds, attoseconds) = (clock.now - start).components
    lastProcessorNanoseconds = Self.processorNanoseconds() - processorStart
    processorNanoseconds += lastProcessorNanoseconds
    nanoseconds.append(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    return result
  }

  /// The last one was none.
  mutating func dropLast() {
    guard nanoseconds.popLast() != nil else { return }
    processorNanoseconds -= lastProcessorNanoseconds
    lastProcessorNanoseconds = 0
  }

  /// What a decision takes of a processor on average, with half a microsecond for this clock itself. On a
  /// machine that others use, too, this is what can be compared.
  var meanProcessorMicroseconds: Double {
    nanoseconds.isEmpty
      ? 0 : Double(processorNanoseconds) / Double(nanoseconds.count) / 1000
  }

  private static func processorNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

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
