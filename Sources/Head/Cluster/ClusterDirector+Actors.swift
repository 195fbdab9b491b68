internal import IorunContract
internal import IorunCore
internal import IorunWire

/// What nodes ask of the actors' directory.
extension ClusterDirector {
  func createActor(_ spec: RuntimeActorSpec, getIfExists: Bool, caller: PeerID) async throws
    -> RuntimeActorRecord
  {
    let node = try await self.caller(caller)
    guard spec.creator.node == node else {
      throw IorunError(.notAllowed, "a node creates actors for its own processes only")
    }
    let job = try runtimeJob(spec.job)
    // The same call again, because its answer was lost with a link or an earlier head.
    if let present = actors[spec.actor] {
      guard present.spec.creator == spec.creator else { throw Self.taken(spec.actor) }
      actors[spec.actor]?.watchers.insert(node)
      return record(present)
    }
    var spec = spec
    if spec.namespace.isEmpty { spec.namespace = job.namespace }
    try Self.check(spec)
    let name = RuntimeActorName(name: spec.name, namespace: spec.namespace)
    if !spec.name.isEmpty, let id = actorNames[name], let present = actors[id] {
      guard getIfExists else {
        throw IorunError(
          .wrongState, "an actor named '\(spec.name)' lives in namespace '\(spec.namespace)'",
          remedy: "Choose another name, or create it with get_if_exists")
      }
      actors[id]?.watchers.insert(node)
      return record(present)
    }
    guard actors.count < limits.actors else {
      throw IorunError(
        .overloaded, "the head keeps its most of \(limits.actors) actors",
        remedy: "End some, or put more state into each")
    }
    let shape = DemandShape.Demand(
      spec.demand, origin: node, tenant: tenant(of: spec.job))
    let now = clock.elapsed()
    if case .infeasible(let error) = try decide(shape), !mayStillFit(since: now) { throw error }
    insert(
      LiveActor(
        spec: spec, status: RuntimeActorStatus(spec), watchers: [node], place: line.takePlace(),
        since: now))
    let doom = doomed.take(spec.actor)
    let mayBegin = doom.map { $0.mayRestart && spec.maxRestarts != 0 } ?? true
    if doom != nil, mayBegin { actors[spec.actor]?.status.restarts = 1 }
    if let doom, !mayBegin {
      die(spec.actor, Self.intended(doom.reason), stopping: false, telling: node)
    } else if line.holds(.demand(shape)) {
      try wait(spec.actor, shape)
    } else {
      await startAtOnce(spec.actor, shape, telling: node)
    }
    guard let present = actors[spec.actor] else {
      throw IorunError(.cancelled, "the actor ended before it was placed: its job is over")
    }
    return record(present)
  }

  func actor(_ actor: RuntimeActorID, caller: PeerID) async throws -> RuntimeActorRecord {
    let node = try await self.caller(caller)
    guard let present = actors[actor] else {
      throw IorunError(.notFound, "no actor \(actor) is known; it may have ended long ago")
    }
    actors[actor]?.watchers.insert(node)
    return record(present)
  }

  func actor(named name: String, namespace: String, caller: PeerID) async throws
    -> RuntimeActorRecord
  {
    let node = try await self.caller(caller)
    guard let id = actorNames[RuntimeActorName(name: name, namespace: namespace)],
      let present = actors[id]
    else {
      throw IorunError(
        .notFound,
        "no actor named '\(name.prefix(256))' lives in namespace '\(namespace.prefix(256))'",
        remedy: "Look at `iorun list actors`; names are looked up within a namespace")
    }
    actors[id]?.watchers.insert(node)
    return record(present)
  }

  func actorNames(namespace: String?, caller: PeerID) async throws -> [RuntimeActorName] {
    _ = try await self.caller(caller)
    return actorNames.keys.filter { namespace == nil || $0.namespace == namespace }
      .sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
  }

  func killActor(_ actor: RuntimeActorID, noRestart: Bool, caller: PeerID) async throws {
    _ = try await self.caller(caller)
    guard let present = actors[actor] else {
      return doomed.add(actor, "it was killed before it was placed", mayRestart: !noRestart)
    }
    if present.isDead { return }
    if noRestart || !present.mayRestart {
      return die(actor, Self.intended("it was killed"), stopping: true)
    }
    guard present.isPlaced, let node = present.status.node else {
      // It has no process yet: the one that it will have is its next, as in Ray.
      actors[actor]?.status.restarts += 1
      return
    }
    // It begins anew once its node says that the old process is gone.
    actors[actor]?.restartsOnDeath = true
    stop(actor, on: node, Self.intended("it was killed, and may begin anew"), inOrder: false)
  }

  func releaseActor(_ actor: RuntimeActorID, caller: PeerID) async throws {
    _ = try await self.caller(caller)
    guard let present = actors[actor] else {
      return doomed.add(actor, "nobody had a handle to it any more")
    }
    if present.isDead || present.spec.detached { return }
    actors[actor]?.isReleased = true
    let loss = Self.intended("nobody had a handle to it any more")
    guard present.isPlaced, let node = present.status.node else {
      // One that is just being started is stopped when that call returns.
      if !present.isStarting { die(actor, loss, stopping: false) }
      return
    }
    stop(actor, on: node, loss, inOrder: true)
  }

  func actorChanged(_ status: RuntimeActorStatus, caller: PeerID) async throws {
    let node = try await self.caller(caller)
    guard let present = actors[status.actor], !present.isDead else { return }
    // Word of an earlier incarnation, or from a node that the actor has left, is old.
    guard present.status.node == node, present.status.incarnation == status.incarnation else {
      // A process can be faster than the answer that says that it was started.
      if present.isStarting, status.node == node,
        status.incarnation == present.status.incarnation + 1, present.early?.state != .dead
      {
        actors[status.actor]?.early = status
      }
      return
    }
    changed(status, from: present)
  }

  /// News of the incarnation that the head knows, from the node where it is.
  func changed(_ status: RuntimeActorStatus, from present: LiveActor) {
    switch status.state {
    case .alive:
      guard present.status.state == .placed else { return }
      actors[status.actor]?.status.state = .alive
      actors[status.actor]?.status.cause = nil
      notify(status.actor)
    case .dead, .restarting:
      lost(
        status.actor,
        status.cause ?? ProcessLoss(.processLost, "its process ended, and its node did not say why")
      )
    case .pending, .placed: return
    }
  }

  private func record(_ actor: LiveActor) -> RuntimeActorRecord {
    let present = actors[actor.spec.actor] ?? actor
    return RuntimeActorRecord(spec: present.spec, status: present.status)
  }

  private static func check(_ spec: RuntimeActorSpec) throws {
    guard spec.name.utf8.count <= 1024, spec.namespace.utf8.count <= 1024,
      spec.className.utf8.count <= 1024, spec.maxRestarts >= -1
    else {
      throw IorunError(
        .specInvalid,
        "an actor's name, namespace or class is longer than 1,024 bytes, or it is to "
          + "restart \(spec.maxRestarts) times",
        remedy: "Shorten the names; -1 restarts without end")
    }
  }

  private static func taken(_ actor: RuntimeActorID) -> IorunError {
    IorunError(.wrongState, "actor id \(actor) is in use", remedy: "Draw ids at random")
  }
}
