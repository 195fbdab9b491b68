import Foundation
import Synchronization
import Testing

@testable import IorunCore

private final class Counts: Sendable {
  let state = Mutex((now: 0, most: 0))
}

private final class Flag: Sendable {
  let value = Atomic(false)
}

@Suite("Blocking work")
struct BlockingPoolTests {
  @Test("returns what the work returns and throws what it throws")
  func results() async throws {
    #expect(try await Blocking.run { 7 } == 7)
    await #expect(throws: IorunError.self) {
      try await Blocking.run { throw IorunError(.notFound, "no such thing") }
    }
  }

  @Test("as many pieces as the pool is wide run at once, and never more")
  func width() async throws {
    let pool = BlockingPool(width: 3)
    let running = Counts()
    let meeting = DispatchSemaphore(value: 0)
    try await withThrowingTaskGroup(of: DispatchTimeoutResult.self) { group in
      for _ in 0..<12 {
        group.addTask {
          try await pool.run {
            let present = running.state.withLock { state in
              state.now += 1
              state.most = max(state.most, state.now)
              return state.now
            }
            // The third to come lets all three go: they can only meet where all run at once.
            if present == 3 { for _ in 0..<3 { meeting.signal() } }
            let met = meeting.wait(timeout: .now() + 10)
            running.state.withLock { $0.now -= 1 }
            return met
          }
        }
      }
      for try await met in group { #expect(met == .success) }
    }
    #expect(running.state.withLock { $0.most } == 3)
  }

  @Test("work whose task is cancelled before its turn does not run")
  func cancellation() async throws {
    let pool = BlockingPool(width: 1)
    let gate = DispatchSemaphore(value: 0)
    let started = AsyncStream.makeStream(of: Void.self)
    let first = Task {
      try await pool.run {
        started.continuation.finish(); gate.wait()
      }
    }
    for await _ in started.stream {}
    let ran = Flag()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await #expect(throws: CancellationError.self) {
          try await pool.run { ran.value.store(true, ordering: .relaxed) }
        }
      }
      group.cancelAll()
      gate.signal()
    }
    try await first.value
    let didRun = ran.value.load(ordering: .relaxed)
    #expect(!didRun)
  }

  @Test("ten thousand pieces all run, once each")
  func many() async throws {
    let pool = BlockingPool(width: 4)
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for value in 0..<10_000 { group.addTask { try await pool.run { value } } }
      return try await group.reduce(0, +)
    }
    #expect(sum == 49_995_000)
  }
}
