internal import Foundation
internal import Synchronization

/// A bounded set of threads behind one queue, first in, first out. Threads start when there is work
/// for them and stay for the life of the process. Behind ``Blocking``; its own type for the tests.
final class BlockingPool: Sendable {
  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var next = 0
    var threads = 0
    var idleThreads = 0
  }

  private let width: Int
  private let state = Mutex(State())
  private let available = DispatchSemaphore(value: 0)

  init(width: Int) { self.width = width }

  /// Runs `work` on a thread of this pool; throws `CancellationError` where the task was cancelled
  /// before the work's turn came.
  func run<Output: Sendable>(
    _ work: @escaping @Sendable () throws -> Output
  ) async throws -> Output {
    let ticket = Ticket()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation {
        (continuation: CheckedContinuation<Output, any Error>) in
        enqueue {
          guard !ticket.isCancelled.load(ordering: .acquiring) else {
            continuation.resume(throwing: CancellationError())
            return
          }
          continuation.resume(with: Result { try work() })
        }
      }
    } onCancel: {
      ticket.isCancelled.store(true, ordering: .releasing)
    }
  }

  /// Says whether the caller gave up. A class, so that both closures see the same flag.
  private final class Ticket: Sendable {
    let isCancelled = Atomic(false)
  }

  private func enqueue(_ job: @escaping @Sendable () -> Void) {
    let startsThread = state.withLock { state in
      state.waiting.append(job)
      // Jobs that already wait have claims on the idle threads.
      let isCovered = state.waiting.count - state.next <= state.idleThreads
      guard !isCovered, state.threads < width else { return false }
      state.threads += 1
      return true
    }
    if startsThread {
      let thread = Thread { [self] in serve() }
      thread.name = "iorun-blocking"
      thread.start()
    }
    available.signal()
  }

  private func serve() -> Never {
    while true {
      state.withLock { $0.idleThreads += 1 }
      available.wait()
      let job = state.withLock { state in
        state.idleThreads -= 1
        return Self.takeNext(&state)
      }
      job?()
    }
  }

  private static func takeNext(_ state: inout State) -> (@Sendable () -> Void)? {
    guard state.next < state.waiting.count else { return nil }
    let job = state.waiting[state.next]
    state.waiting[state.next] = {}
    state.next += 1
    // Compacted now and then rather than each time, which would move every waiting job.
    if state.next == state.waiting.count || state.next >= 1024 {
      state.waiting.removeFirst(state.next)
      state.next = 0
    }
    return job
  }
}
