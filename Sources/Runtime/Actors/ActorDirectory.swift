internal import IorunCore
internal import IorunWire
internal import Synchronization

/// Where the actors are that the head knows: named, detached and restartable ones.
final class ActorDirectory: Sendable {
  private struct Entry {
    var status: RuntimeActorStatus?
    var isWatched = false
    var waiters: [WaitGate] = []
  }

  struct Watch: Encodable { let actor: RuntimeActorID }

  private let state = Mutex<[RuntimeActorID: Entry]>([:])
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess) { self.process = process }

  /// The hub says where an actor stands. An older status than the one known counts for nothing.
  func update(_ status: RuntimeActorStatus) {
    let waiters = state.withLock { state -> [WaitGate] in
      var entry = state[status.actor] ?? Entry()
      if let known = entry.status,
        known.incarnation > status.incarnation || known.state == .dead
      {
        return []
      }
      entry.status = status
      entry.isWatched = true
      let waiters = entry.waiters
      entry.waiters = []
      state[status.actor] = entry
      return waiters
    }
    for waiter in waiters { waiter.open() }
  }

  /// This process has had the actor killed for good.
  func killed(_ actor: RuntimeActorID) {
    guard var status = state.withLock({ $0[actor]?.status }), status.state != .dead else { return }
    status.state = .dead
    status.cause = ProcessLoss(.processLost, "it was killed")
    update(status)
  }

  /// Where calls to an actor go now; waits while it is being placed or started anew.
  ///
  /// - Throws: `processLost` where it is gone for good.
  func address(of actor: RuntimeActorID) async throws -> ProcessAddress {
    while true {
      let status = state.withLock { $0[actor]?.status }
      guard let status else {
        let answer = try await process.hub.request(.actorWatch, Watch(actor: actor))
        update(try answer.decode(RuntimeActorStatus.self))
        continue
      }
      switch status.state {
      case .dead: throw Self.error(status)
      case .alive, .placed:
        if let node = status.node, let worker = status.worker,
          status.state == .alive || node != process.address.node,
          // The head has not heard of its end yet, or decides what follows.
          !process.peers.isLost(worker)
        {
          return ProcessAddress(node: node, worker: worker)
        }
      case .pending, .restarting: break
      }
      try await wait(actor, beyond: status)
    }
  }

  private func wait(_ actor: RuntimeActorID, beyond status: RuntimeActorStatus) async throws {
    let gate = WaitGate()
    let isNews = state.withLock { state in
      guard state[actor]?.status == status else { return true }
      state[actor]?.waiters.append(gate)
      return false
    }
    guard !isNews else { return }
    try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { gate.wait($0) }
    } onCancel: {
      gate.cancel()
    }
  }

  private static func error(_ status: RuntimeActorStatus) -> IorunError {
    let name = status.name.isEmpty ? "\(status.actor)" : "'\(status.name)'"
    return IorunError(
      .processLost,
      "actor \(name) is gone" + (status.cause.map { ": \($0.message)" } ?? ""),
      remedy: status.cause?.remedy ?? "Give it `maxRestarts` to have it started anew")
  }
}
