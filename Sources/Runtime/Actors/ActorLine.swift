internal import Foundation
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The calls of this process to one actor that the head knows: in their order, wherever the actor is,
/// and in that order again where it begins anew.
///
/// A call that was on its way when the actor's process was lost may or may not have run. It is made
/// again where its caller allows that (`ActorOptions.maxTaskRetries`), and fails otherwise. What was
/// sent to a place that then did not take the actor has not run: it is made again without counting.
final class ActorLine: Sendable {
  typealias Waiter = ReplyTable.Waiter

  /// One call, from its making to its answer.
  struct Call: Sendable {
    let target: String
    let arguments: Payload
    let deadline: ContinuousClock.Instant?
    let waiter: Waiter
    /// How often it may be made again; negative for without end.
    var retriesLeft: Int
    /// Its place among the calls of this process to the actor.
    var order: UInt64 = 0
  }

  /// A call at the actor's process.
  private struct Sent: Sendable {
    var call: Call
    /// Tells one sending of a call from the next.
    let turn: UInt64
    /// Its number in the table of replies.
    let number: UInt64
    let incarnation: Int
    let restarts: Int
  }

  private struct State {
    var status: RuntimeActorStatus?
    var isWatched = false
    var lastOrder: UInt64 = 0
    var lastTurn: UInt64 = 0
    /// Not sent, by their order.
    var waiting: [Call] = []
    var head = 0
    var sent: [UInt64: Sent] = [:]
    /// Their process is gone, and the head has not said yet what follows.
    var lost: [Sent] = []
    /// Where calls go now.
    var peer: Peer?
  }

  /// What is told once the lock is open.
  private typealias Outcome = (waiter: Waiter, result: Result<PeerReply, any Error>)

  private let actor: RuntimeActorID
  private unowned let process: ClusterProcess
  private let state = Mutex(State())

  init(_ actor: RuntimeActorID, process: ClusterProcess) {
    self.actor = actor
    self.process = process
  }

  /// True where the actor is gone for good.
  var isDead: Bool { state.withLock { $0.status?.state == .dead } }

  /// Makes a call, in its turn; its number for `cancel`.
  func add(_ call: Call) -> UInt64 {
    let (order, watches, outcomes) = state.withLock { state -> (UInt64, Bool, [Outcome]) in
      state.lastOrder += 1
      var call = call
      call.order = state.lastOrder
      if let status = state.status, status.state == .dead {
        return (call.order, false, [(call.waiter, .failure(error(status)))])
      }
      state.waiting.append(call)
      let watches = state.status == nil && !state.isWatched
      if watches { state.isWatched = true }
      return (call.order, watches, pump(&state))
    }
    tell(outcomes)
    if watches { watch() }
    return order
  }

  /// The caller gives a call up.
  func cancel(_ order: UInt64) {
    let (waiter, sent, peer) = state.withLock { state -> (Waiter?, Sent?, Peer?) in
      if let sent = state.sent.removeValue(forKey: order) {
        return (process.replies.forget(sent.number) ? sent.call.waiter : nil, sent, state.peer)
      }
      if let index = state.lost.firstIndex(where: { $0.call.order == order }) {
        return (state.lost.remove(at: index).call.waiter, nil, nil)
      }
      if let index = state.waiting[state.head...].firstIndex(where: { $0.order == order }) {
        return (state.waiting.remove(at: index).waiter, nil, nil)
      }
      return (nil, nil, nil)
    }
    waiter?.resume(throwing: CancellationError())
    guard let sent, let peer else { return }
    // Where the process is gone there is nothing to cancel.
    try? peer.send(.cancelCall, number: sent.number) { $0.append(id: actor) }
  }

  /// The head says where the actor stands. What is not newer than what is known counts for nothing.
  func update(_ status: RuntimeActorStatus) {
    let outcomes = state.withLock { state -> [Outcome] in
      if let known = state.status, !status.isNewer(than: known) { return [] }
      state.status = status
      state.isWatched = true
      state.peer = nil
      var outcomes: [Outcome] = []
      var again: [Call] = []
      let isOver = status.state == .dead
      let gone = state.lost.filter { isOver || Self.isPast($0, status) }
      state.lost.removeAll { isOver || Self.isPast($0, status) }
      // At a place that the actor has left nobody answers; at one that was lost with the actor the
      // process's end is heard of, after the answers that it still sent.
      // Nobody is left to its own answer, or its turn among the others would come too late.
      let past = state.sent.values.filter { $0.incarnation < status.incarnation }
      for sent in past {
        _ = process.replies.forget(sent.number)
        state.sent[sent.call.order] = nil
        settle(sent, status, &again, &outcomes)
      }
      for sent in gone { settle(sent, status, &again, &outcomes) }
      putBack(again, &state)
      if isOver {
        outcomes += state.waiting[state.head...].map { ($0.waiter, .failure(error(status))) }
        (state.waiting, state.head) = ([], 0)
      }
      return outcomes + pump(&state)
    }
    tell(outcomes)
  }

  /// This process has had the actor killed for good.
  func killed() {
    guard var status = state.withLock({ $0.status }), status.state != .dead else { return }
    status.state = .dead
    status.cause = ProcessLoss(.processLost, "it was killed")
    update(status)
  }

  /// Ends the waits whose time is up, and tries again where a process could not be reached.
  func sweep(_ now: ContinuousClock.Instant) {
    tell(state.withLock { pump(&$0) })
    fail(ReplyTable.late) { call in call.deadline.map { $0 <= now } ?? false }
  }

  /// Ends all waits.
  func failAll(_ error: any Error) { fail(error) { _ in true } }

  private func fail(_ error: any Error, where matches: (Call) -> Bool) {
    let waiters = state.withLock { state -> [Waiter] in
      let late =
        state.waiting[state.head...].filter(matches)
        + state.lost.lazy.map(\.call).filter(matches)
      guard !late.isEmpty else { return [] }
      state.waiting = state.waiting[state.head...].filter { !matches($0) }
      state.head = 0
      state.lost.removeAll { matches($0.call) }
      return late.map(\.waiter)
    }
    for waiter in waiters { waiter.resume(throwing: error) }
  }

  // MARK: Within the lock

  /// Sends what waits, in order, where the actor can be reached.
  private func pump(_ state: inout State) -> [Outcome] {
    guard let status = state.status else { return [] }
    var outcomes: [Outcome] = []
    while state.head < state.waiting.count {
      let call = state.waiting[state.head]
      do {
        guard let peer = try state.peer ?? reach(status) else { return outcomes }
        state.peer = peer
        try send(call, to: peer, status, &state)
      } catch let error as IorunError where Self.isGone(error) {
        // The head's word of what follows is on its way.
        state.peer = nil
        return outcomes
      } catch {
        outcomes.append((call.waiter, .failure(error)))
      }
      state.head += 1
    }
    (state.waiting, state.head) = ([], 0)
    return outcomes
  }

  private func reach(_ status: RuntimeActorStatus) throws -> Peer? {
    guard let node = status.node, let worker = status.worker,
      // One that is only placed has no socket yet; the hub of another node keeps what comes for it.
      status.state == .alive || (status.state == .placed && node != process.address.node),
      !process.peers.isLost(worker)
    else { return nil }
    return try process.peers.peer(ProcessAddress(node: node, worker: worker))
  }

  /// True where the actor's process cannot be spoken to: it is gone, or will be told to be.
  private static func isGone(_ error: IorunError) -> Bool {
    error.code == .processLost || error.code == .unreachable
  }

  private func send(
    _ call: Call, to peer: Peer, _ status: RuntimeActorStatus, _ state: inout State
  ) throws {
    let order = call.order
    state.lastTurn += 1
    let turn = state.lastTurn
    let number = process.replies.insert(from: peer.address.worker, deadline: call.deadline) {
      [weak self] result in
      self?.ended(order, turn, result)
    }
    do {
      try process.objects.lend(call.arguments.objects, to: peer.address)
      try peer.send(.call, aux: UInt16(call.target.utf8.count), number: number) { frame in
        frame.append(id: actor)
        frame.append(contentsOf: call.target.utf8)
        call.arguments.write(to: &frame)
      }
    } catch {
      _ = process.replies.forget(number)
      throw error
    }
    state.sent[order] = Sent(
      call: call, turn: turn, number: number, incarnation: status.incarnation,
      restarts: status.restarts)
  }

  /// True where the actor has left, or lost, the place where a call was sent.
  private static func isPast(_ sent: Sent, _ status: RuntimeActorStatus) -> Bool {
    sent.incarnation < status.incarnation || status.state == .restarting
  }

  /// What becomes of a call whose place is gone: it is made again, or fails.
  private func settle(
    _ sent: Sent, _ status: RuntimeActorStatus, _ again: inout [Call], _ outcomes: inout [Outcome]
  ) {
    var call = sent.call
    if status.state == .dead {
      outcomes.append((call.waiter, .failure(error(status))))
    } else if sent.restarts == status.restarts, status.state != .restarting {
      again.append(call)
    } else if call.retriesLeft != 0 {
      call.retriesLeft -= call.retriesLeft > 0 ? 1 : 0
      again.append(call)
    } else {
      let cause = status.cause.map { ": \($0.message)" } ?? ""
      outcomes.append(
        (
          call.waiter,
          .failure(
            IorunError(
              .processLost, "the actor's process was lost while it had the call\(cause)",
              remedy: "It may or may not have run; `maxTaskRetries` lets it run again"))
        ))
    }
  }

  /// Calls come back to their places.
  private func putBack(_ calls: [Call], _ state: inout State) {
    guard !calls.isEmpty else { return }
    state.waiting = (calls + state.waiting[state.head...]).sorted { $0.order < $1.order }
    state.head = 0
  }

  // MARK: Answers

  /// A call was answered, or its process is gone.
  private func ended(_ order: UInt64, _ turn: UInt64, _ result: Result<PeerReply, any Error>) {
    let outcomes = state.withLock { state -> [Outcome] in
      guard let sent = state.sent[order], sent.turn == turn else { return [] }
      state.sent[order] = nil
      guard case .failure(let lost as IorunError) = result, lost.code == .processLost,
        let status = state.status
      else { return [(sent.call.waiter, result)] }
      if status.state == .dead { return [(sent.call.waiter, .failure(error(status)))] }
      guard Self.isPast(sent, status) else {
        state.peer = nil
        state.lost.append(sent)
        return []
      }
      var outcomes: [Outcome] = []
      var again: [Call] = []
      settle(sent, status, &again, &outcomes)
      putBack(again, &state)
      return outcomes + pump(&state)
    }
    tell(outcomes)
  }

  private func tell(_ outcomes: [Outcome]) {
    for outcome in outcomes { outcome.waiter.resume(with: outcome.result) }
  }

  private func watch() {
    struct Watch: Encodable { let actor: RuntimeActorID }
    do {
      _ = try process.hub.send(.actorWatch, Watch(actor: actor)) { [weak self] result in
        do {
          self?.update(try result.get().decode(RuntimeActorStatus.self))
        } catch {
          self?.unknown(error)
        }
      }
    } catch {
      unknown(error)
    }
  }

  /// The head does not say where the actor is.
  private func unknown(_ error: any Error) {
    state.withLock { $0.isWatched = $0.status != nil }
    failAll(error)
  }

  /// What a call of an actor that is gone for good is told: what its initializer has thrown, if that
  /// is why.
  private func error(_ status: RuntimeActorStatus) -> any Error {
    if let thrown = status.cause?.error {
      let failure = thrown.withUnsafeBytes { bytes -> Envelope.RemoteFailure? in
        var cursor = FrameCursor(bytes)
        // Of another SDK's actor only the message can be told.
        return try? Envelope.RemoteFailure(&cursor)
      }
      if let failure { return process.errors.decode(failure) }
    }
    let name = status.name.isEmpty ? "\(status.actor)" : "'\(status.name)'"
    return IorunError(
      .processLost,
      "actor \(name) is gone" + (status.cause.map { ": \($0.message)" } ?? ""),
      remedy: status.cause?.remedy ?? "Give it `maxRestarts` to have it started anew")
  }
}
