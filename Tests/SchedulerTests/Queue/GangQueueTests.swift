import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

@Suite("The order of the queue")
struct GangQueueTests {
  private let shares: FairShare

  init() throws {
    shares = try FairShare(capacity: QueueDemand(gpus: 100))
  }

  private func entry(
    _ id: Int, tenant: Int = 0, priority: Int = 5, level: Int = 0, gpus: Double = 1,
    since: Double = 0
  ) throws -> GangQueue.Entry {
    GangQueue.Entry(
      id: id, tenant: tenant, priority: priority, level: level,
      demand: try QueueDemand(gpus: gpus), waitingSinceSeconds: since)
  }

  private func order(_ queue: GangQueue, shares: FairShare, at now: Double) -> [Int] {
    var queue = queue
    let pass = queue.pass(shares: shares, atSeconds: now)
    var order: [Int] = []
    while let first = queue.first(in: pass) {
      order.append(first.id)
      queue.remove(first.id)
    }
    return order
  }

  @Test("priority first, then less service, then the smaller share, then arrival")
  func order() throws {
    var shares = shares
    shares.take(try QueueDemand(gpus: 50), by: 1, atSeconds: 0)
    var queue = GangQueue()
    try queue.insert(entry(1, tenant: 1))
    try queue.insert(entry(2, tenant: 2))
    try queue.insert(entry(3, tenant: 2, gpus: 2))
    try queue.insert(entry(4, tenant: 2, level: 2))
    try queue.insert(entry(5, tenant: 1, priority: 6, level: 3))
    #expect(order(queue, shares: shares, at: 10) == [5, 2, 3, 1, 4])
  }

  @Test("who has waited long enough goes before any newcomer, whatever its priority and share")
  func starvation() throws {
    var shares = shares
    shares.take(try QueueDemand(gpus: 90), by: 1, atSeconds: 0)
    var queue = GangQueue()
    try queue.insert(entry(1, tenant: 1, priority: 0, level: 3, gpus: 99))
    let bound = Double(4 * 10 + 3 + 1) * GangQueue.agingSeconds
    try queue.insert(entry(2, tenant: 2, priority: 10, since: bound))
    #expect(order(queue, shares: shares, at: bound / 2).first == 2)
    #expect(order(queue, shares: shares, at: bound).first == 1)
  }

  @Test("a closed line is passed over, others are not")
  func closed() throws {
    var queue = GangQueue()
    try queue.insert(entry(1, gpus: 8))
    try queue.insert(entry(2, gpus: 8))
    try queue.insert(entry(3, gpus: 1))
    var pass = queue.pass(shares: shares, atSeconds: 0)
    let first = try #require(queue.first(in: pass))
    #expect(first.id == 1)
    queue.close(lineOf: first, in: &pass)
    #expect(queue.first(in: pass)?.id == 3)
  }

  @Test("the queue's order is that of a sort, after any inserts and removals", arguments: 1...20)
  func equalsASort(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var queue = GangQueue()
    var waiting: [Int: GangQueue.Entry] = [:]
    for id in 0..<300 {
      let new = try entry(
        id, tenant: Int.random(in: 0..<3, using: &random),
        priority: Int.random(in: 0...10, using: &random),
        level: Int.random(in: 0...3, using: &random),
        gpus: Double(Int.random(in: 1...3, using: &random)),
        since: Double(Int.random(in: 0...500_000, using: &random)))
      try queue.insert(new)
      waiting[id] = new
      if Bool.random(using: &random), let gone = waiting.keys.sorted().randomElement(using: &random)
      {
        queue.remove(gone)
        waiting[gone] = nil
      }
    }
    #expect(queue.count == waiting.count)
    // All shares are 0 here.
    let sorted = waiting.values.sorted { left, right in
      let urgency = (
        GangQueue.urgency(of: left, atSeconds: 500_000),
        GangQueue.urgency(of: right, atSeconds: 500_000)
      )
      if urgency.0 != urgency.1 { return urgency.0 > urgency.1 }
      return (left.waitingSinceSeconds, left.id) < (right.waitingSinceSeconds, right.id)
    }
    #expect(order(queue, shares: shares, at: 500_000) == sorted.map(\.id))
  }

  @Test("a wrong priority, a wrong level, no time and a second entry are refused")
  func refused() throws {
    var queue = GangQueue()
    try queue.insert(entry(1))
    let wrong = [
      try entry(1), try entry(2, priority: 11), try entry(2, priority: -1),
      try entry(2, level: 4), try entry(2, since: .nan),
    ]
    for entry in wrong { #expect(throws: IorunError.self) { try queue.insert(entry) } }
    #expect(queue.count == 1)
  }
}
