public import IorunCore
internal import Synchronization

/// What is known of the way to the uplink, for whoever waits for it or shows it.
public final class UplinkMonitor: Sendable {
  private struct State {
    var isUp = false
    var lastFailure: IorunError?
    var roundTrip: Duration?
    var waiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
    var nextWaiter: UInt64 = 0

    mutating func takeWaiters() -> [CheckedContinuation<Void, any Error>] {
      defer { waiters = [:] }
      return Array(waiters.values)
    }
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
    let waiter = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await withCheckedThrowingContinuation { continuation in
          self.add(continuation, as: waiter)
        }
      }
      group.addTask {
        // Cancelled or over: either way this one waits no longer.
        try? await Task.sleep(for: limit)
        self.giveUp(waiter)
      }
      try await group.next()
      group.cancelAll()
    }
  }

  private func add(_ continuation: CheckedContinuation<Void, any Error>, as waiter: UInt64) {
    let isUp = state.withLock { state in
      if !state.isUp { state.waiters[waiter] = continuation }
      return state.isUp
    }
    if isUp {
      continuation.resume()
    } else if Task.isCancelled {
      // The other task may have given up before there was anything to give up.
      giveUp(waiter)
    }
  }

  private func giveUp(_ waiter: UInt64) {
    let (continuation, failure) = state.withLock { state in
      (state.waiters.removeValue(forKey: waiter), state.lastFailure)
    }
    continuation?.resume(
      throwing: failure ?? IorunError(.unreachable, "no answer from the head"))
  }

  func isUp() {
    let waiters = state.withLock { state in
      state.isUp = true
      state.lastFailure = nil
      return state.takeWaiters()
    }
    for waiter in waiters { waiter.resume() }
  }

  func failed(_ error: IorunError) {
    let waiters = state.withLock { state in
      state.isUp = false
      state.lastFailure = error
      return Self.isFinal(error) ? state.takeWaiters() : []
    }
    for waiter in waiters { waiter.resume(throwing: error) }
  }

  func measured(_ roundTrip: Duration) { state.withLock { $0.roundTrip = roundTrip } }

  /// Trying again does not help against these.
  private static func isFinal(_ error: IorunError) -> Bool {
    error.code == .keyNotAdmitted || error.code == .versionMismatch
  }
}
