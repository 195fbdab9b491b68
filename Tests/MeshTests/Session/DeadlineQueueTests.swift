import Testing

@testable import IorunMesh

struct DeadlineQueueTests {
  private func time(_ value: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: value) }

  @Test func `keys come up at their earliest time, once, in order of time`() {
    var queue = DeadlineQueue<Int>()
    for key in (0..<100).reversed() { queue.note(key, at: time(Int64(key) * 10)) }
    queue.note(50, at: time(5))
    queue.note(7, at: time(1000))
    #expect(queue.first == time(0))
    #expect(queue.takeDue(time(25)) == [0, 50, 1, 2])
    #expect(queue.takeDue(time(70)) == [3, 4, 5, 6, 7])
    #expect(queue.takeDue(time(70)).isEmpty)
    queue.forget(8)
    #expect(queue.takeDue(time(2000)) == (9..<100).filter { $0 != 50 })
  }
}
