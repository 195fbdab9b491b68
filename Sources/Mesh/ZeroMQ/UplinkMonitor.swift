public import IorunCore
internal import Synchronization

/// What is known of a link that was dialled, such as the uplink, for whoever waits for it or shows
/// it.
public final class UplinkMonitor: Sendable {
  private struct State {
    var isUp = false
    var lastFailure: IorunError?
    var lastWarning: IorunError?
    var roundTrip: Duration?
    /// By number; `nil` until the waiter's continuation is there.
    var waiters: [UInt64: CheckedContinuation<Void, any Error>?] = [:]
    var nextWaiter: UInt64 = 0

    mutating func takeWaiters() -> [CheckedContinuation<Void, any Error>] {
      defer { waiters = [:] }
      return waiters.values.compactMap(\.self)
    }
  }

  private let state = Mutex(State())

  /// True while the link is up.
  public var isLinkUp: Bool { state.withLock { $0.isUp } }

  /// The last heartbeat's round trip.
  public var roundTrip: Duration? { state.withLock { $0.roundTrip } }

  /// Why the last attempt failed, while there is no link.
  public var lastFailure: IorunError? { state.withLock { $0.lastFailure } }

  /// What the other side said last of a link that went on, for example that more is sent over it than
  /// it takes (`overloaded`).
  public var lastWarning: IorunError? { state.withLock { $0.lastWarning } }

  /// Returns when the link is up.
  ///
  /// - Throws: `keyNotAdmitted` or `versionMismatch` at once; the last failure after `limit`.
  public func waitUntilUp(within limit: Duration) async throws {
    let waiter = state.withLock { state in
      state.nextWaiter += 1
      state.waiters.updateValue(nil, forKey: state.nextWaiter)
      return state.nextWaiter
    }
    // The tasks say whether they were the wait: the timer's end is not the link's coming.
    try await withThrowingTaskGroup(of: Bool.self) { group in
      group.addTask {
        try await withCheckedThrowingContinuation { continuation in
          self.add(continuation, as: waiter)
        }
        return true
      }
      group.addTask {
        // Cancelled or over: either way this one waits no longer.
        try? await Task.sleep(for: limit)
        self.giveUp(waiter)
        return false
      }
      while let wasTheWait = try await group.next(), !wasTheWait {}
      group.cancelAll()
    }
  }

  private func add(_ continuation: CheckedContinuation<Void, any Error>, as waiter: UInt64) {
    let outcome: Result<Void, any Error>? = state.withLock { state in
      if state.isUp { return .success(()) }
      guard state.waiters.updateValue(continuation, forKey: waiter) != nil else {
        // The time was up, or the failure final, before this task came to wait.
        state.waiters[waiter] = nil
        return .failure(Self.reason(state))
      }
      return nil
    }
    if let outcome { continuation.resume(with: outcome) }
  }

  private func giveUp(_ waiter: UInt64) {
    let (continuation, reason) = state.withLock { state in
      (state.waiters.removeValue(forKey: waiter) ?? nil, Self.reason(state))
    }
    continuation?.resume(throwing: reason)
  }

  private static func reason(_ state: State) -> IorunError {
    state.lastFailure ?? IorunError(.unreachable, "no answer from the head")
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

  func warned(_ error: IorunError) { state.withLock { $0.lastWarning = error } }

  func measured(_ roundTrip: Duration) { state.withLock { $0.roundTrip = roundTrip } }

  /// Trying again does not help against these.
  private static func isFinal(_ error: IorunError) -> Bool {
    switch error.code {
    case .keyNotAdmitted, .versionMismatch, .ticketInvalid, .ticketExpired, .ticketSpent: true
    default: false
    }
  }
}
