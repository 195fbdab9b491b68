internal import IorunContract
internal import IorunCore
internal import Logging

/// Calls to the nodes' agents: each in a task of its own, repeated while it does not get through and
/// its node is not lost.
extension JobDirector {
  private static let longestPause = Duration.seconds(2)
  /// A lease that was not forgotten is named in the orders of the node's next heartbeat.
  private static let forgetTries = 5

  /// Makes the call that an action asks for.
  func send(_ action: JobLifecycle.Action) {
    switch action {
    case .prepare(let node, let grant):
      var grant = grant
      grant.isForeign = isForeign(grant.id.job, on: node) ? true : nil
      // The same grant under way is the same call: its answer counts.
      run(.prepare(grant.id), again: false) { [grant] in await self.prepare(grant, on: node) }
    case .start(let node, let lease, let epoch, let gang):
      run(.start(lease), again: false) { await self.start(lease, epoch, gang, on: node) }
    case .stop(let node, let lease, let cause):
      run(.stop(lease), again: true) { await self.stop(lease, cause, on: node) }
    case .forget(let node, let lease):
      run(.forget(lease), again: false) { await self.forget(lease, on: node) }
    case .persist, .keepOutputs: break
    }
  }

  /// True where neither the job's owner nor whoever runs the network owns the node.
  private func isForeign(_ job: JobID, on node: PeerID) -> Bool {
    guard let record = live[job]?.lifecycle.record else { return true }
    return authoriser.owner(record.owner)
      .isStranger(to: NodeStanding(supplier: authoriser.peers.tenantName(of: node)))
  }

  private func run(_ call: AgentCall, again: Bool, _ body: @escaping @Sendable () async -> Void) {
    if callsUnderWay[call] != nil {
      // The one under way may have reached the node too early.
      if again { callsUnderWay[call] = true }
      return
    }
    callsUnderWay[call] = false
    tasks.run {
      repeat { await body() } while await self.isWantedAgain(call)
    }
  }

  private func isWantedAgain(_ call: AgentCall) -> Bool {
    guard callsUnderWay[call] == true, !Task.isCancelled else {
      callsUnderWay[call] = nil
      return false
    }
    callsUnderWay[call] = false
    return true
  }

  private func prepare(_ grant: LeaseGrant, on node: PeerID) async {
    let outcome = await attempt(on: node, while: { self.awaitsPreparation(grant.id) }) {
      try await self.agent(node).prepare(grant, caller: self.head)
    }
    switch outcome {
    case .success(let prepared): take(prepared, of: grant.id)
    case .failure(let error): apply(.prepareFailed(grant.id, error), to: grant.id.job)
    case nil: return
    }
    await settleLater()
  }

  private func start(
    _ lease: LeaseID, _ epoch: Int64, _ gang: GangStart, on node: PeerID
  ) async {
    let outcome = await attempt(on: node, while: { self.rank(lease)?.stopCause == nil }) {
      try await self.agent(node).start(lease, epoch: epoch, gang: gang, caller: self.head)
    }
    guard case .failure(let error) = outcome else { return }
    // The start that nobody wants any more may have reached the node all the same: the stop that is
    // under way ends the rank there, and the node's report, or its loss, says when.
    if Self.mayPass(error) { return }
    apply(.startFailed(lease, error), to: lease.job)
    await settleLater()
  }

  private func stop(_ lease: LeaseID, _ cause: ExitCause, on node: PeerID) async {
    var pause = options.retryPause
    while !Task.isCancelled, let rank = rank(lease), !rank.isEnded {
      do {
        return try await agent(node).stop(lease, cause: cause, caller: head)
      } catch {
        if await loseIfDead(node) { return }
        try? await clock.sleep(pause)
        pause = min(pause * 2, Self.longestPause)
      }
    }
  }

  private func forget(_ lease: LeaseID, on node: PeerID) async {
    var pause = options.retryPause
    for _ in 0..<Self.forgetTries where !Task.isCancelled {
      do {
        return try await agent(node).forget(lease, caller: head)
      } catch {
        if await directory.lossReason(of: node) != nil { return }
        try? await clock.sleep(pause)
        pause = min(pause * 2, Self.longestPause)
      }
    }
  }

  /// Repeats a call until it got through or cannot any more. `nil` where its outcome does not matter
  /// any more: the node is lost, or the head stops.
  private func attempt<Success: Sendable>(
    on node: PeerID, while isWanted: () -> Bool,
    _ call: () async throws -> Success
  ) async -> Result<Success, IorunError>? {
    var pause = options.retryPause
    while !Task.isCancelled {
      do {
        return .success(try await call())
      } catch {
        if Task.isCancelled { return nil }
        let error =
          error as? IorunError ?? IorunError(.internalFault, "a node's agent failed", cause: error)
        guard Self.mayPass(error) else { return .failure(error) }
        logger.debug("a call to a node did not get through", metadata: ["error": "\(error)"])
        if await loseIfDead(node) { return nil }
        guard isWanted() else { return .failure(error) }
        try? await clock.sleep(pause)
        pause = min(pause * 2, Self.longestPause)
      }
    }
    return nil
  }

  /// True for an error of the way to the node, not of the call. A node that has just come up may
  /// register a moment before its agent can be found.
  private static func mayPass(_ error: IorunError) -> Bool {
    [.unreachable, .peerLost, .timedOut, .overloaded, .actorNotFound].contains(error.code)
  }

  private func loseIfDead(_ node: PeerID) async -> Bool {
    guard let reason = await directory.lossReason(of: node) else { return false }
    lose(node, reason: reason)
    await settleLater()
    return true
  }

  private func awaitsPreparation(_ lease: LeaseID) -> Bool {
    guard let rank = rank(lease) else { return false }
    return rank.state == .preparing && rank.stopCause == nil
  }

  /// The rank that holds `lease`; `nil` where its attempt is not a live job's latest.
  func rank(_ lease: LeaseID) -> RankRecord? {
    guard let ranks = live[lease.job]?.lifecycle.ranks, ranks.indices.contains(lease.rank),
      ranks[lease.rank].lease == lease
    else { return nil }
    return ranks[lease.rank]
  }
}
