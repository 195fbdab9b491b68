public import IorunCore
internal import Synchronization

/// What is known of the way to the uplink, for whoever waits for it or shows it.
public final class UplinkMonitor: Sendable {
  private struct State {
    var isUp = false
    var lastFailure: IorunError?
    var roundTrip: Duration?
    var waiters: [CheckedContinuation<Void, any Error>] = []
  }

  private let state = Mutex(State())

  /// True while the link is up.
  public var isLinkUp: Bool { state.withLock { $0.isUp } }

  /// The last heartbeat's round trip.
  public var roundTrip: Duration? { state.withLock { $0.roundTrip } }

  /// Why the last attempt failed, while there is no link.
  public var lastFailure: IorunError? { state.withLock { $0.lastFailure } }

  /// Returns when the link is up.
  ///
  /// - Throws: `keyNotAdmitted` or `versionMismatch` at once; the last failure after `limit`.
  public func waitUntilUp(within limit: Duration) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await withCheckedThrowingContinuation { continuation in
          self.add(continuation)
        }
      }
      group.addTask {
        // Cancelled or over: either way nobody waits any longer.
        try? await Task.sleep(for: limit)
        self.giveUp()
      }
      try await group.next()
      group.cancelAll()
    }
  }

  private func add(_ continuation: CheckedContinuation<Void, any Error>) {
    let isUp = state.withLock { state in
      if !state.isUp { state.waiters.append(continuation) }
      return state.isUp
    }
    if isUp { continuation.resume() }
  }

  private func giveUp() {
    let (waiters, failure) = state.withLock { state in
      (state.waiters.take(), state.lastFailure)
    }
    let error = failure ?? IorunError(.unreachable, "no answer from the head")
    for waiter in waiters { waiter.resume(throwing: error) }
  }

  func isUp() {
    let waiters = state.withLock { state in
      state.isUp = true
      state.lastFailure = nil
      return state.waiters.take()
    }
    for waiter in waiters { waiter.resume() }
  }

  func failed(_ error: IorunError) {
    let waiters = state.withLock { state in
      state.isUp = false
      state.lastFailure = error
      return Self.isFinal(error) ? state.waiters.take() : []
    }
    for waiter in waiters { waiter.resume(throwing: error) }
  }

  func measured(_ roundTrip: Duration) { state.withLock { $0.roundTrip = roundTrip } }

  /// Trying again does not help against these.
  private static func isFinal(_ error: IorunError) -> Bool {
    error.code == .keyNotAdmitted || error.code == .versionMismatch
  }
}
