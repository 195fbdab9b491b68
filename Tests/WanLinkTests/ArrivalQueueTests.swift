import Testing

@testable import WanLink

struct `A queue of packets on their way` {
  @Test func `gives them back by arrival, and by order of sending within one time`() {
    var queue = ArrivalQueue()
    var random = SplitMix(state: 5)
    let arrivals = (0..<500).map { _ in Duration.milliseconds(Int(random.fraction() * 50)) }
    for (slot, arrival) in arrivals.enumerated() {
      queue.insert(slot: slot, length: 1, arrival: arrival)
    }
    var taken: [Int] = []
    while let entry = queue.takeArrived(by: .seconds(1)) { taken.append(entry.slot) }
    let expected = arrivals.indices.sorted { (arrivals[$0], $0) < (arrivals[$1], $1) }
    #expect(taken == expected)
  }

  @Test func `keeps what has not arrived`() {
    var queue = ArrivalQueue()
    queue.insert(slot: 1, length: 1, arrival: .milliseconds(10))
    queue.insert(slot: 2, length: 1, arrival: .milliseconds(5))
    #expect(queue.nextArrival == .milliseconds(5))
    #expect(queue.takeArrived(by: .milliseconds(4)) == nil)
    #expect(queue.takeArrived(by: .milliseconds(5))?.slot == 2)
    #expect(queue.takeArrived(by: .milliseconds(9)) == nil)
    #expect(queue.nextArrival == .milliseconds(10))
  }
}
