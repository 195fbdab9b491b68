/// First in, first out, in a ring that grows and never moves what waits but then.
struct JobQueue {
  private var ring: [UnownedJob?] = Array(repeating: nil, count: 256)
  private var head = 0
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func push(_ job: UnownedJob) {
    if count == ring.count { grow() }
    ring[(head + count) & (ring.count - 1)] = job
    count += 1
  }

  mutating func pop() -> UnownedJob? {
    guard count > 0 else { return nil }
    defer {
      head = (head + 1) & (ring.count - 1)
      count -= 1
    }
    return ring[head]
  }

  private mutating func grow() {
    var larger: [UnownedJob?] = Array(repeating: nil, count: ring.count * 2)
    for index in 0..<count { larger[index] = ring[(head + index) & (ring.count - 1)] }
    ring = larger
    head = 0
  }
}
