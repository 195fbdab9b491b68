internal import IorunContract
internal import IorunCore
internal import IorunWire

/// What a head learns of actors from the nodes that register with it: after it, or an agent, began anew.
extension ClusterDirector {
  /// What a node that registers says of actors: those that run on it, and those that its processes made
  /// and that no other node may know. Others than those that run on it have ended there unseen.
  func adoptActors(_ records: [RuntimeActorRecord], on node: NodeID) {
    for record in records {
      let id = record.spec.actor
      guard let present = actors[id] else {
        if actors.count < limits.actors, record.status.state != .dead { adopt(record, on: node) }
        continue
      }
      let claims = record.status.state == .placed || record.status.state == .alive
      if !claims { continue }
      if record.status.node != node {
        // Its maker's node tells what it heard once; whoever runs the actor knows better.
        actors[id]?.watchers.insert(node)
      } else if present.isHearsay, !present.isDead {
        confirm(record, on: node)
      } else if present.isDead || !(present.status.node == node || present.isStarting) {
        stop(id, on: node, Self.intended("it is dead, or lives elsewhere by now"), inOrder: false)
      }
    }
    let running = Set(records.lazy.filter { $0.status.node == node }.map(\.spec.actor))
    for (id, actor) in actors where actor.isPlaced && actor.status.node == node {
      // One that was promised may not have been asked for yet; of one that an earlier head promised,
      // another node may know more.
      if actor.isStarting || actor.isHearsay || running.contains(id) { continue }
      lost(id, ProcessLoss(.processLost, "the agent of its node began anew without it"))
    }
  }

  /// A record of which the head knows nothing: an actor of an earlier head. One that was not placed
  /// is told by its maker's node, and is placed now; one that was promised to another node waits for
  /// that node's word.
  private func adopt(_ record: RuntimeActorRecord, on node: NodeID) {
    let spec = record.spec
    let name = RuntimeActorName(name: spec.name, namespace: spec.namespace)
    var actor = LiveActor(
      spec: spec, status: record.status, watchers: [node, spec.creator.node],
      place: line.takePlace(), since: clock.elapsed())
    actor.wasPlaced = true
    actor.isHearsay = actor.isPlaced && record.status.node != node
    // A node speaks of other nodes' actors for its own processes only.
    if actor.isHearsay, spec.creator.node != node { return }
    if !spec.name.isEmpty, actorNames[name] != nil {
      // Two nodes claim the name: the first one has it.
      if actor.isHearsay { return }
      return stop(
        spec.actor, on: node, Self.intended("another actor has its name"), inOrder: false)
    }
    insert(actor)
    hasAdopted = true
    if actor.isHearsay {
      hearsay.insert(spec.actor)
    } else if !actor.isPlaced {
      tasks.run { [weak self] in await self?.start(spec.actor) }
    }
  }

  /// The node that runs an actor says so: what its maker's node had heard is of no more use.
  private func confirm(_ record: RuntimeActorRecord, on node: NodeID) {
    let id = record.spec.actor
    guard let present = actors[id] else { return }
    hearsay.remove(id)
    actors[id]?.isHearsay = false
    actors[id]?.status = record.status
    actors[id]?.watchers.insert(node)
    notify(id)
    if present.restartsOnDeath {
      stop(id, on: node, Self.intended("it was killed, and may begin anew"), inOrder: false)
    } else if present.isReleased {
      stop(id, on: node, Self.intended("nobody had a handle to it any more"), inOrder: true)
    }
  }

  /// Actors that an earlier head promised to nodes which do not run them: that head died before they
  /// heard of it. Nothing has run there, so this is no restart: each is placed anew, and its calls are
  /// made again. Decided once their nodes have spoken or are gone, and all others had time to speak.
  func settleHearsay() {
    guard !hearsay.isEmpty else { return }
    if expectsMembers, clock.elapsed() - startedAt < limits.arrivalGrace { return }
    for id in hearsay {
      guard let actor = actors[id], actor.isHearsay, actor.isPlaced, let node = actor.status.node
      else {
        hearsay.remove(id)
        continue
      }
      if awaitedMembers.contains(node), members[node] == nil { continue }
      hearsay.remove(id)
      actors[id]?.isHearsay = false
      if actor.isReleased {
        die(id, Self.intended("nobody had a handle to it any more"), stopping: false)
        continue
      }
      actors[id]?.restartsOnDeath = false
      actors[id]?.status.state = .pending
      actors[id]?.status.node = nil
      actors[id]?.status.worker = nil
      tasks.run { [weak self] in await self?.start(id) }
    }
  }
}
