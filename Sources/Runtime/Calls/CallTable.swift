internal import IorunCore
internal import IorunMesh
internal import IorunWire
internal import Synchronization

/// The calls of this process that wait for an answer.
///
/// Hot path: two short critical sections a call; deadlines are swept ten times a second instead of
/// one timer task a call.
final class CallTable: Sendable {
  typealias Answer = UnsafeContinuation<Envelope.Outcome, any Error>

  private struct Pending {
    let peer: PeerID
    let deadline: ContinuousClock.Instant
    let answer: Answer
  }

  private struct State {
    /// Begins anywhere, so that a late answer to a call of an earlier process of this peer is not
    /// taken for the answer to one of ours.
    var nextID = UInt64.random(in: 0 ... .max)
    var pending: [UInt64: Pending] = [:]
  }

  private let state = Mutex(State())

  /// How many calls wait.
  var count: Int { state.withLock { $0.pending.count } }

  func nextID() -> UInt64 {
    state.withLock { state in
      defer { state.nextID &+= 1 }
      return state.nextID
    }
  }

  func insert(_ id: UInt64, peer: PeerID, timeout: Duration, answer: Answer) {
    let pending = Pending(peer: peer, deadline: .now + timeout, answer: answer)
    state.withLock { $0.pending[id] = pending }
  }

  /// Ends a call with its answer. An answer from any peer but the called one counts for nothing.
  func complete(_ id: UInt64, from peer: PeerID, _ outcome: Envelope.Outcome) {
    let pending = state.withLock { state in
      state.pending[id]?.peer == peer ? state.pending.removeValue(forKey: id) : nil
    }
    pending?.answer.resume(returning: outcome)
  }

  /// Ends a call with an error; false where it had ended already.
  @discardableResult
  func fail(_ id: UInt64, _ error: any Error) -> Bool {
    let pending = state.withLock { $0.pending.removeValue(forKey: id) }
    pending?.answer.resume(throwing: error)
    return pending != nil
  }

  /// Ends all calls to a peer.
  func failAll(to peer: PeerID, _ error: IorunError) {
    for pending in removeAll(where: { $0.peer == peer }) { pending.answer.resume(throwing: error) }
  }

  /// Ends all calls.
  func failAll(_ error: IorunError) {
    for pending in removeAll(where: { _ in true }) { pending.answer.resume(throwing: error) }
  }

  /// Ends the calls whose time is up.
  func sweep(now: ContinuousClock.Instant) {
    for pending in removeAll(where: { $0.deadline <= now }) {
      pending.answer.resume(
        throwing: IorunError(
          .timedOut, "peer \(pending.peer.short) did not answer in time",
          remedy: "The call may or may not have run: check before you repeat it"))
    }
  }

  private func removeAll(where matches: (Pending) -> Bool) -> [Pending] {
    state.withLock { state in
      let ids = state.pending.filter { matches($0.value) }.map(\.key)
      return ids.compactMap { state.pending.removeValue(forKey: $0) }
    }
  }
}
