internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire

/// How actors are placed, lost, begun anew and ended.
extension ClusterDirector {
  /// Looks for a node until the actor has one, waits in line, or is dead. `telling` is the node that
  /// hears of it as the answer to its call.
  func start(_ id: RuntimeActorID, telling: NodeID? = nil) async {
    while let actor = actors[id], !actor.isDead, !actor.isPlaced, !actor.isStarting {
      let shape = DemandShape.Demand(
        actor.spec.demand, origin: actor.spec.creator.node, tenant: tenant(of: actor.spec.job))
      do {
        switch try decide(shape) {
        case .place(let node): await start(id, on: node, shape, telling: telling)
        case .wait: return try wait(id, shape)
        case .infeasible(let error):
          guard actor.wasPlaced || mayStillFit(since: actor.since) else { throw error }
          return try wait(id, shape)
        }
      } catch {
        return die(id, Self.loss(error), stopping: false, telling: telling)
      }
    }
  }

  /// The first place of a new actor. Where that is another node than the creator's, the creator hears
  /// of it at once, and its first calls leave while the node is still being asked: it keeps them. One
  /// that refuses after all was no incarnation in which anything ran: the actor's next place has a
  /// higher number and no more restarts, and the calls are made again there.
  func startAtOnce(_ id: RuntimeActorID, _ shape: DemandShape.Demand, telling origin: NodeID) async
  {
    guard let actor = actors[id], case .place(let node)? = try? decide(shape), node != origin,
      let reservation = begin(id, on: node)
    else { return await start(id, telling: origin) }
    actors[id]?.status.state = .placed
    actors[id]?.status.node = node
    // The first process bears the actor's own id: proto/local.md, `actorCreate`.
    actors[id]?.status.worker = WorkerID(high: id.high, low: id.low)
    actors[id]?.status.incarnation = actor.status.incarnation + 1
    tasks.run { [weak self] in
      await self?.ask(node, toStart: id, reservation, shape, telling: nil, isPromised: true)
      await self?.start(id)
    }
  }

  func wait(_ id: RuntimeActorID, _ shape: DemandShape.Demand) throws {
    guard let actor = actors[id] else { return }
    try enqueue(.actor(id), .demand(shape), since: actor.since, at: actor.place)
  }

  /// There is room for one that waited, or never will be.
  func resume(actor id: RuntimeActorID, with result: Result<NodeID, IorunError>) {
    switch result {
    case .failure(let error): die(id, Self.loss(error), stopping: false)
    case .success(let node):
      guard let actor = actors[id], !actor.isDead, !actor.isStarting, !actor.isPlaced else {
        return
      }
      let shape = DemandShape.Demand(
        actor.spec.demand, origin: actor.spec.creator.node, tenant: tenant(of: actor.spec.job))
      let reservation = begin(id, on: node)
      tasks.run { [weak self] in
        if let reservation {
          await self?.ask(node, toStart: id, reservation, shape, telling: nil)
        }
        await self?.start(id)
      }
    }
  }

  private func start(
    _ id: RuntimeActorID, on node: NodeID, _ shape: DemandShape.Demand, telling: NodeID?
  ) async {
    guard let reservation = begin(id, on: node) else { return }
    await ask(node, toStart: id, reservation, shape, telling: telling)
  }

  private func begin(_ id: RuntimeActorID, on node: NodeID) -> ClusterMember.Reservation? {
    guard let actor = actors[id],
      let reservation = members[node]?.reserve(Self.held(actor.spec.demand))
    else { return nil }
    took(node, for: actor.spec.demand)
    actors[id]?.isStarting = true
    actors[id]?.early = nil
    return reservation
  }

  /// Asks a node to start an actor; `start` goes on where it refuses.
  private func ask(
    _ node: NodeID, toStart id: RuntimeActorID, _ reservation: ClusterMember.Reservation,
    _ shape: DemandShape.Demand, telling: NodeID?, isPromised: Bool = false
  ) async {
    guard let actor = actors[id] else {
      members[node]?.settle(reservation, took: false)
      return
    }
    let incarnation = actor.status.incarnation + (isPromised ? 0 : 1)
    do {
      let job = try runtimeJob(actor.spec.job)
      let worker = try await call(node) {
        try await $0.startActor(
          actor.spec, incarnation: incarnation, restarts: actor.status.restarts, job: job,
          caller: self.head)
      }
      members[node]?.settle(reservation, took: true)
      if isPromised {
        kept(id, on: node, incarnation)
      } else {
        placed(id, on: node, worker, incarnation, telling: telling)
      }
    } catch {
      members[node]?.settle(reservation, took: false)
      actors[id]?.isStarting = false
      if isPromised, let present = actors[id], present.isPlaced,
        present.status.incarnation == incarnation
      {
        actors[id]?.status.state = .pending
        actors[id]?.status.node = nil
        actors[id]?.status.worker = nil
      }
      if let error = error as? IorunError, Self.isRefusal(error) {
        members[node]?.refused(.demand(shape), reservation)
        // It may run there all the same, if only the answer was lost.
        if Self.isSilence(error) {
          stop(id, on: node, Self.intended("its start was not confirmed"), inOrder: false)
        }
      } else {
        die(id, Self.loss(error), stopping: false, telling: telling)
      }
    }
  }

  /// An actor is where its creator was told already, unless it has ended, or was lost, meanwhile.
  private func kept(_ id: RuntimeActorID, on node: NodeID, _ incarnation: Int) {
    actors[id]?.isStarting = false
    guard let actor = actors[id], !actor.isDead, members[node] != nil else {
      return stop(id, on: node, Self.intended("it ended before it had begun"), inOrder: false)
    }
    guard actor.status.incarnation == incarnation, actor.isPlaced else { return }
    actors[id]?.wasPlaced = true
    if actor.restartsOnDeath {
      // The order to end it may have come before the one to begin.
      stop(id, on: node, Self.intended("it was killed, and may begin anew"), inOrder: false)
    } else if actor.isReleased {
      stop(id, on: node, Self.intended("nobody had a handle to it any more"), inOrder: true)
    }
  }

  private func placed(
    _ id: RuntimeActorID, on node: NodeID, _ worker: WorkerID, _ incarnation: Int, telling: NodeID?
  ) {
    guard let actor = actors[id], !actor.isDead, members[node] != nil else {
      // It ended, or its node did, while it was being started.
      actors[id]?.isStarting = false
      return stop(id, on: node, Self.intended("it ended before it had begun"), inOrder: false)
    }
    actors[id]?.isStarting = false
    actors[id]?.wasPlaced = true
    actors[id]?.status.state = .placed
    actors[id]?.status.node = node
    actors[id]?.status.worker = worker
    actors[id]?.status.incarnation = incarnation
    actors[id]?.status.cause = nil
    notify(id, but: telling)
    if actor.isReleased {
      stop(id, on: node, Self.intended("nobody had a handle to it any more"), inOrder: true)
    }
    guard let early = actor.early, early.node == node, early.incarnation == incarnation,
      let present = actors[id]
    else { return }
    actors[id]?.early = nil
    changed(early, from: present)
  }

  // MARK: loss

  /// An actor's process is gone: it begins anew or is dead. It begins anew after a fault of its
  /// process or node, never after an end that was meant or a constructor that failed.
  func lost(_ id: RuntimeActorID, _ loss: ProcessLoss) {
    guard let actor = actors[id], !actor.isDead else { return }
    let isFault =
      loss.code == IorunError.Code.processLost.description && loss.detail.intended != true
    guard (isFault || actor.restartsOnDeath) && actor.mayRestart else {
      return die(id, loss, stopping: false)
    }
    actors[id]?.restartsOnDeath = false
    actors[id]?.status.state = .restarting
    actors[id]?.status.restarts += 1
    actors[id]?.status.node = nil
    actors[id]?.status.worker = nil
    actors[id]?.status.cause = loss
    actors[id]?.place = line.takePlace()
    actors[id]?.since = clock.elapsed()
    notify(id)
    tasks.run { [weak self] in await self?.start(id) }
  }

  /// An actor is gone for good.
  func die(
    _ id: RuntimeActorID, _ loss: ProcessLoss, stopping: Bool, telling: NodeID? = nil
  ) {
    guard let actor = actors[id], !actor.isDead else { return }
    line.remove(.actor(id))
    if stopping, actor.isPlaced, let node = actor.status.node {
      stop(id, on: node, loss, inOrder: false)
    }
    actors[id]?.status.state = .dead
    actors[id]?.status.cause = loss
    // Nobody makes it again.
    actors[id]?.spec.payload = Data()
    let name = RuntimeActorName(name: actor.spec.name, namespace: actor.spec.namespace)
    if actorNames[name] == id { actorNames[name] = nil }
    notify(id, but: telling)
    madeBy[actor.spec.creator]?.remove(id)
    if madeBy[actor.spec.creator]?.isEmpty == true { madeBy[actor.spec.creator] = nil }
    deadActors.append(id)
    if deadActors.count > limits.deadActors { actors[deadActors.removeFirst()] = nil }
    endChildren(of: actor)
    forgetIfOver(actor.spec.job)
  }

  /// What an actor made ends with it, unless it is detached. Its placement groups stay for as long as
  /// there is the driver, which may use them, too.
  private func endChildren(of parent: LiveActor) {
    guard let creator = parent.process else { return }
    if jobs[parent.spec.job]?.endReason != nil {
      for (id, group) in groups where group.spec.creator == creator && !group.spec.detached {
        remove(id, reason: "the actor that made it is dead")
      }
    }
    for id in madeBy[creator] ?? [] where actors[id]?.spec.detached == false {
      die(id, Self.intended("the actor that made it is dead"), stopping: true)
    }
  }

  /// Actors on a node that is lost begin anew elsewhere; those that its processes made end.
  func loseActors(on node: NodeID, named name: String, reason: String) {
    var detail = ProcessLoss.Detail()
    detail.node = node
    let loss = ProcessLoss(
      .processLost, "its node \(name) is lost: \(reason)",
      remedy: "Let it restart with max_restarts", detail: detail)
    for id in Array(actors.keys) {
      guard let actor = actors[id], !actor.isDead else { continue }
      actors[id]?.watchers.remove(node)
      if actor.spec.creator.node == node, !actor.spec.detached {
        die(id, Self.intended("the node of its maker, \(name), is lost"), stopping: true)
      } else if actor.isPlaced, actor.status.node == node {
        lost(id, loss)
      }
    }
  }

  // MARK: word to nodes

  func stop(_ id: RuntimeActorID, on node: NodeID, _ reason: ProcessLoss, inOrder: Bool) {
    tell(node, "the end of an actor") {
      try await $0.stopActor(id, reason: reason, inOrder: inOrder, caller: self.head)
    }
  }

  /// Everybody who asked for an actor hears where it stands.
  func notify(_ id: RuntimeActorID, but except: NodeID? = nil) {
    guard let actor = actors[id] else { return }
    let status = actor.status
    for node in actor.watchers where node != except {
      tell(node, "word of an actor") { try await $0.actorChanged(status, caller: self.head) }
    }
  }

  static func loss(_ error: any Error) -> ProcessLoss {
    guard let error = error as? IorunError else {
      return ProcessLoss(.internalFault, "it could not be started: \(error)")
    }
    var message = error.message
    if let cause = error.cause { message += " (\(cause))" }
    return ProcessLoss(error.code, message, remedy: error.remedy)
  }

  /// Enters an actor and its name.
  func insert(_ actor: LiveActor) {
    let spec = actor.spec
    actors[spec.actor] = actor
    madeBy[spec.creator, default: []].insert(spec.actor)
    if spec.name.isEmpty { return }
    actorNames[RuntimeActorName(name: spec.name, namespace: spec.namespace)] = spec.actor
  }
}
