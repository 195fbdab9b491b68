internal import Dispatch
internal import Foundation
internal import Synchronization

/// Turns termination signals into cancellation, so that shutting down has one way: cancelled tasks.
enum Signals {
  /// Runs `body` in a task that SIGINT and SIGTERM cancel, and waits for it. With `signals` a
  /// command chooses which.
  static func cancelling<Result: Sendable>(
    _ signals: [Int32] = [SIGINT, SIGTERM], _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    let task = Task { try await body() }
    let sources = signals.map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { task.cancel() }
      source.resume()
      return source
    }
    defer { for source in sources { source.cancel() } }
    return try await task.value
  }

  /// Runs `body`; on SIGINT calls `detach`, gives `body` up and returns `nil`.
  static func onInterrupt<Result: Sendable>(
    _ detach: () -> Void, during body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result? {
    do {
      return try await cancelling([SIGINT], body)
    } catch is CancellationError {
      detach()
      return nil
    }
  }
}
