internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The actors that the head knows, as far as this process has to do with them: named, detached and
/// restartable ones.
final class ActorDirectory: Sendable {
  private let lines = Mutex<[RuntimeActorID: ActorLine]>([:])
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess) { self.process = process }

  /// The calls of this process to an actor.
  func line(_ actor: RuntimeActorID) -> ActorLine {
    lines.withLock { lines in
      if let line = lines[actor] { return line }
      let line = ActorLine(actor, process: process)
      lines[actor] = line
      return line
    }
  }

  /// The hub says where an actor stands.
  func update(_ status: RuntimeActorStatus) { line(status.actor).update(status) }

  /// This process has had the actor killed for good.
  func killed(_ actor: RuntimeActorID) { line(actor).killed() }

  /// Calls an actor, wherever it is, and waits for the answer.
  ///
  /// - Throws: `processLost` where it is gone, or its process was lost with the call; `timedOut`,
  ///   `CancellationError`.
  func call(
    _ actor: RuntimeActorID, _ target: String, _ arguments: Payload, retries: Int,
    deadline: ContinuousClock.Instant?
  ) async throws -> PeerReply {
    let line = line(actor)
    let order = Atomic<UInt64>(0)
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { waiter in
        let own = line.add(
          ActorLine.Call(
            target: target, arguments: arguments, deadline: deadline, waiter: waiter,
            retriesLeft: retries))
        order.store(own, ordering: .releasing)
        // The handler below may have run before there was anything to cancel.
        if Task.isCancelled { line.cancel(own) }
      }
    } onCancel: {
      let own = order.load(ordering: .acquiring)
      if own != 0 { line.cancel(own) }
    }
  }

  /// Ends the waits whose time is up.
  func sweep() {
    let now = ContinuousClock.now
    for line in lines.withLock({ Array($0.values) }) { line.sweep(now) }
  }

  /// Ends all waits: the agent is gone.
  func failAll(_ error: any Error) {
    for line in lines.withLock({ Array($0.values) }) { line.failAll(error) }
  }
}
