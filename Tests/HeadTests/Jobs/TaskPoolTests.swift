import Synchronization
import TestSupport
import Testing

@testable import IorunHead

@Suite("TaskPool")
struct TaskPoolTests {
  @Test("closing cancels every task and waits for it")
  func close() async {
    let time = ManualClock()
    let clock = HeadClock(time) { 0 }
    let pool = TaskPool()
    let ended = Atomic(false)
    pool.run {
      try? await clock.sleep(.seconds(3600))
      ended.store(true, ordering: .relaxed)
    }
    await pool.close(within: .seconds(2), clock)
    let hasEnded = ended.load(ordering: .relaxed)
    #expect(hasEnded)
    pool.run { Issue.record("a closed pool ran a task") }
  }

  @Test("a task that does not hear its cancellation does not hold up the end for ever")
  func deaf() async throws {
    let time = ManualClock()
    let clock = HeadClock(time) { 0 }
    let pool = TaskPool()
    let (stream, end) = AsyncStream<Void>.makeStream()
    pool.run { await Task { for await _ in stream {} }.value }
    async let closing: Void = pool.close(within: .seconds(2), clock)
    try await eventually { time.sleeperCount == 1 }
    time.advance(by: .seconds(2))
    await closing
    end.finish()
  }
}
