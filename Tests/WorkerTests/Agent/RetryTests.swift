import IorunCore
import Testing

@testable import IorunWorker

@Suite("Retry")
struct RetryTests {
  private let retry = Retry(
    pauses: .milliseconds(1) ... .milliseconds(2), clock: ContinuousClock())

  @Test("a call is made until it succeeds")
  func succeeds() async throws {
    var calls = 0
    let answer = try await retry {
      calls += 1
      if calls < 4 { throw IorunError(.unreachable, "away") }
      return calls
    }
    #expect(answer == 4)
  }

  @Test("an error that is final is thrown at once")
  func final() async {
    var calls = 0
    await #expect(throws: IorunError.self) {
      try await retry(final: [.diskFull]) {
        calls += 1
        throw IorunError(.diskFull, "full")
      }
    }
    #expect(calls == 1)
  }

  @Test("a cancelled task stops calling")
  func cancelled() async {
    let task = Task { try await retry { throw IorunError(.unreachable, "away") } }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }
}
