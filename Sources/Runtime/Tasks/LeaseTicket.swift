internal import Synchronization

/// A request for a lease between its sending and its answer, which may come in either order.
final class LeaseTicket: Sendable {
  let askedAt = ContinuousClock.now
  private let state = Mutex<(number: UInt64?, isAnswered: Bool)>((nil, false))

  var number: UInt64? { state.withLock { $0.number } }
  var isAnswered: Bool { state.withLock { $0.isAnswered } }
  func answered() { state.withLock { $0.isAnswered = true } }

  /// True where the answer has not come yet.
  func sent(_ number: UInt64) -> Bool {
    state.withLock { state in
      state.number = number
      return !state.isAnswered
    }
  }
}
