internal import IorunCore
internal import IorunWire
internal import Synchronization

/// Everything of this process that waits for an answer of another one. A number names a slot and how
/// often the slot was used: finding a waiter is an index, and a late answer finds nobody.
final class ReplyTable: Sendable {
  typealias Waiter = UnsafeContinuation<PeerReply, any Error>

  /// Whoever waits for an answer.
  private enum Hearer {
    case caller(Waiter)
    case closure(@Sendable (Result<PeerReply, any Error>) -> Void)

    func hear(_ result: Result<PeerReply, any Error>) {
      switch self {
      case .caller(let waiter): waiter.resume(with: result)
      case .closure(let closure): closure(result)
      }
    }
  }

  private struct Slot {
    var use: UInt32 = 0
    var waiter: Hearer?
    var peer: WorkerID?
    var deadline: ContinuousClock.Instant?
  }

  private struct State {
    var slots: [Slot] = []
    var free: [UInt32] = []
    var withDeadline = 0
  }

  private let state = Mutex(State())

  /// How many wait.
  var count: Int { state.withLock { $0.slots.count - $0.free.count } }

  /// Keeps a waiter for an answer of `peer`; the number to ask under.
  func insert(
    _ waiter: Waiter, from peer: WorkerID, deadline: ContinuousClock.Instant? = nil
  ) -> UInt64 {
    insert(.caller(waiter), from: peer, deadline)
  }

  /// The same for a closure, which is called outside of all locks of the table.
  func insert(
    from peer: WorkerID, deadline: ContinuousClock.Instant? = nil,
    _ answered: @escaping @Sendable (Result<PeerReply, any Error>) -> Void
  ) -> UInt64 {
    insert(.closure(answered), from: peer, deadline)
  }

  private func insert(
    _ waiter: Hearer, from peer: WorkerID, _ deadline: ContinuousClock.Instant?
  ) -> UInt64 {
    state.withLock { state in
      let index: UInt32
      if let free = state.free.popLast() {
        index = free
      } else {
        index = UInt32(state.slots.count)
        state.slots.append(Slot())
      }
      let use = state.slots[Int(index)].use &+ 1
      state.slots[Int(index)] = Slot(use: use, waiter: waiter, peer: peer, deadline: deadline)
      if deadline != nil { state.withDeadline += 1 }
      return UInt64(use) << 32 | UInt64(index)
    }
  }

  /// Ends a wait with its answer. An answer from anybody but who was asked counts for nothing.
  func complete(_ number: UInt64, from peer: WorkerID, _ reply: PeerReply) {
    take(number) { $0 == peer }?.hear(.success(reply))
  }

  /// Ends a wait with an error; false where it had ended already.
  @discardableResult
  func fail(_ number: UInt64, _ error: any Error) -> Bool {
    guard let waiter = take(number, where: { _ in true }) else { return false }
    waiter.hear(.failure(error))
    return true
  }

  /// Ends a wait without a word; false where it had ended already.
  func forget(_ number: UInt64) -> Bool { take(number, where: { _ in true }) != nil }

  /// Ends all waits for one process, or for all.
  func failAll(from peer: WorkerID? = nil, _ error: any Error) {
    for waiter in removeAll(where: { peer == nil || $0.peer == peer }) {
      waiter.hear(.failure(error))
    }
  }

  /// What a call is told that was not answered in time.
  static let late = IorunError(
    .timedOut, "the call was not answered in time",
    remedy: "It may or may not have run: check before you repeat it")

  /// Ends the waits whose time is up.
  func sweep() {
    guard state.withLock({ $0.withDeadline > 0 }) else { return }
    let now = ContinuousClock.now
    for waiter in removeAll(where: { $0.deadline.map { $0 <= now } ?? false }) {
      waiter.hear(.failure(Self.late))
    }
  }

  private func take(_ number: UInt64, where matches: (WorkerID?) -> Bool) -> Hearer? {
    state.withLock { state in
      let index = Int(number & 0xffff_ffff)
      guard index < state.slots.count, state.slots[index].use == UInt32(number >> 32),
        let waiter = state.slots[index].waiter, matches(state.slots[index].peer)
      else { return nil }
      clear(&state, index)
      return waiter
    }
  }

  private func clear(_ state: inout State, _ index: Int) {
    state.slots[index].waiter = nil
    state.slots[index].peer = nil
    if state.slots[index].deadline != nil {
      state.slots[index].deadline = nil
      state.withDeadline -= 1
    }
    state.free.append(UInt32(index))
  }

  private func removeAll(where matches: (Slot) -> Bool) -> [Hearer] {
    state.withLock { state in
      var waiters: [Hearer] = []
      for index in state.slots.indices {
        guard let waiter = state.slots[index].waiter, matches(state.slots[index]) else { continue }
        clear(&state, index)
        waiters.append(waiter)
      }
      return waiters
    }
  }
}

/// What another process answered.
enum PeerReply: Sendable {
  case value(Payload)
  case nothing
  case failure(Envelope.RemoteFailure)
  case stored(StoredObject)
}
