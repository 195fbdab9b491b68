import Testing

@testable import IorunContract

struct `A transfer's pace` {
  /// The widths after each chunk, where a chunk takes `alone` for itself and for each one beside it.
  private func widths(alone: Duration, roundTrip: Duration) -> [Int] {
    var pace = TransferPace(limit: 8)
    return (0..<50).map { _ in
      pace.finished(after: roundTrip + alone * pace.width)
      return pace.width
    }
  }

  @Test func `reaches its limit on a fast path, however long the round trip`() {
    #expect(widths(alone: .milliseconds(20), roundTrip: .milliseconds(300)).suffix(40).min() == 8)
  }

  @Test func `is one chunk at a time where one takes two seconds`() {
    #expect(widths(alone: .seconds(2), roundTrip: .milliseconds(100)).allSatisfy { $0 == 1 })
  }

  @Test func `keeps chunks from waiting much longer than it should on a path in between`() {
    // A chunk each 300 ms: four of them wait 1.2 s.
    let settled = widths(alone: .milliseconds(300), roundTrip: .milliseconds(50)).suffix(40)
    #expect(settled.max() == 4)
    #expect(settled.min() == 2)
  }

  @Test func `never begins above its limit`() {
    #expect(TransferPace(limit: 1).width == 1)
  }
}
