internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// What a process asks for with `actorCreate`.
private struct ActorWish: Decodable {
  var actor: RuntimeActorID
  var name: String?
  var namespace: String?
  var className: String?
  var detached: Bool?
  var getIfExists: Bool?
  var maxRestarts: Int?
  var methods: String?
}

/// Names an actor, in requests and notes.
private struct ActorReference: Decodable {
  var actor: RuntimeActorID
  var noRestart: Bool?
  var failed: Bool?
  var message: String?
}

/// What a worker is told that is to be an actor.
private struct Assignment: Encodable {
  var actor: RuntimeActorID
  var incarnation: Int
  var creator: ProcessAddress
  var gpus: [Int]
  var accelerators: [String: [Int]]
  var namespace: String
  var name: String
  var className: String
  var methods: String
}

extension Hub {
  func actorCreate(_ message: LocalMessage, _ ask: HubRequest) throws {
    let wish = try message.decode(ActorWish.self)
    let process = ask.process
    let spec = RuntimeActorSpec(
      actor: wish.actor, job: process.job.id, name: wish.name ?? "",
      namespace: wish.namespace ?? process.job.record.namespace, className: wish.className ?? "",
      detached: wish.detached ?? false, demand: try message.decode(RuntimeDemand.self),
      maxRestarts: wish.maxRestarts ?? 0,
      creator: ProcessAddress(node: settings.node, worker: process.worker),
      methods: wish.methods ?? "", payload: Data(message.blob))
    let getIfExists = wish.getIfExists ?? false
    // The actor's node may ask for what the environment names.
    if !spec.demand.environment.isEmpty {
      _ = environment(
        of: process.job, hash: spec.demand.environment, text: spec.demand.runtimeEnv)
    }
    if !spec.detached { process.children.insert(spec.actor) }
    askHead(for: ask, within: Self.patience) {
      try await $0.createActor(spec, getIfExists: getIfExists)
    } answer: { hub, ticket, record in
      let isOurs = record.spec.actor == spec.actor
      if !isOurs { hub.connections[ticket.connection]?.process?.children.remove(spec.actor) }
      hub.answer(ticket, record, blob: isOurs ? Data() : record.spec.payload)
      if isOurs { hub.actors.keep(spec) }
    }
  }

  func actorWatch(_ message: LocalMessage, _ ask: HubRequest) throws {
    let actor = try message.decode(ActorReference.self).actor
    askHead(for: ask) {
      try await $0.actor(actor)
    } answer: { hub, ticket, record in
      hub.answer(ticket, record, blob: record.spec.payload)
    }
  }

  func actorNamed(_ message: LocalMessage, _ ask: HubRequest) throws {
    struct Name: Decodable {
      var name: String
      var namespace: String?
    }
    let name = try message.decode(Name.self)
    let namespace = name.namespace ?? ask.process.job.record.namespace
    askHead(for: ask) {
      try await $0.actor(named: name.name, namespace: namespace)
    } answer: { hub, ticket, record in
      hub.answer(ticket, record, blob: record.spec.payload)
    }
  }

  func actorNames(_ message: LocalMessage, _ ask: HubRequest) throws {
    struct Scope: Decodable { var allNamespaces: Bool? }
    struct Names: Encodable { var actors: [RuntimeActorName] }
    let isAll = try message.decode(Scope.self).allNamespaces ?? false
    let namespace = isAll ? nil : ask.process.job.record.namespace
    askHead(for: ask) {
      try await $0.actorNames(namespace: namespace)
    } answer: {
      $0.respond($1.connection, $1.number, Names(actors: $2))
    }
  }

  func actorKill(_ message: LocalMessage, _ ask: HubRequest) throws {
    let wish = try message.decode(ActorReference.self)
    let noRestart = wish.noRestart ?? true
    askHead(for: ask) {
      try await $0.killActor(wish.actor, noRestart: noRestart)
    } answer: {
      hub, ticket, _ in
      hub.respond(ticket.connection, ticket.number, json: "{}".utf8)
    }
  }

  func actorRelease(_ message: LocalMessage, _ process: HubProcess) throws {
    let actor = try message.decode(ActorReference.self).actor
    process.children.remove(actor)
    callHead {
      try await $0.releaseActor(actor)
    } done: { hub, result in
      // That it is gone already is what was wanted.
      if case .failure(let error) = result, (error as? IorunError)?.code != .notFound {
        hub.logger.warning("an actor could not be released: \(error)")
      }
    }
  }

  /// Answers with the newest standing, and lets the process hear of later ones.
  private func answer(_ ticket: HubRequest.Ticket, _ record: RuntimeActorRecord, blob: Data) {
    let newest = take(record.status)
    actors.watch(record.spec.actor, by: ticket.connection)
    respond(ticket.connection, ticket.number, newest, blob: blob)
  }

  /// A standing: everybody who asked hears of it if it is news. Returns the newest.
  @discardableResult
  func take(_ status: RuntimeActorStatus) -> RuntimeActorStatus {
    let (newest, isNews) = actors.take(status)
    guard isNews else { return newest }
    for id in actors.watchers(status.actor) {
      if let connection = connections[id] { event(.actor, to: connection, newest) }
    }
    return newest
  }

  // MARK: Actors that run here

  /// The head starts an actor here: its resources are held at once, its process follows.
  ///
  /// - Throws: `overloaded` where there is no room now.
  func startActor(
    _ spec: RuntimeActorSpec, incarnation: Int, restarts: Int, record: RuntimeJob
  ) throws -> WorkerID {
    guard !isStopping else { throw IorunError(.overloaded, "this node is being stopped") }
    let job = try makeJob(record, forDetached: spec.detached)
    // The same order again gives the same answer.
    if let present = actor(spec.actor) {
      if present.incarnation == incarnation { return present.worker }
      throw IorunError(.overloaded, "an earlier process of actor \(spec.actor) is still here")
    }
    let worker =
      incarnation == 1
      ? WorkerID(high: spec.actor.high, low: spec.actor.low) : WorkerID(using: &generator)
    let (hold, devices) = try scheduler.holdActor(spec, worker: worker, self)
    let actor = HubActor(
      spec: spec, incarnation: incarnation, restarts: restarts, worker: worker, hold: hold,
      devices: devices)
    let process = HubProcess(
      worker: worker, job: job, environment: spec.demand.environment, use: .actor(actor))
    job.processes[worker] = process
    takeStrays(of: process)
    job.partners.insert(spec.creator.node)
    _ = environment(of: job, hash: spec.demand.environment, text: spec.demand.runtimeEnv)
    start(process, gpus: devices.gpus)
    return worker
  }

  /// What shows a process its GPUs, and no others. Nothing on a node without any.
  func devices(_ gpus: [Int]) -> [String: String] {
    guard settings.gpuCount > 0 else { return [:] }
    return ["CUDA_VISIBLE_DEVICES": gpus.map(String.init).joined(separator: ",")]
  }

  /// The actor's process here.
  private func process(of actor: RuntimeActorID) -> HubProcess? {
    for job in jobs.values {
      for process in job.processes.values where process.actor?.spec.actor == actor {
        return process
      }
    }
    return nil
  }

  private func actor(_ id: RuntimeActorID) -> HubActor? { process(of: id)?.actor }

  /// A worker has said hello.
  func workerArrived(_ process: HubProcess) {
    guard let connection = process.connection else { return }
    guard let actor = process.actor else {
      scheduler.workerArrived(process, self)
      return
    }
    let spec = actor.spec
    event(
      .assign, to: connection,
      Assignment(
        actor: spec.actor, incarnation: actor.incarnation, creator: spec.creator,
        gpus: actor.devices.gpus, accelerators: actor.devices.others, namespace: spec.namespace,
        name: spec.name, className: spec.className, methods: spec.methods), blob: spec.payload)
  }

  /// An actor's constructor has returned, or failed.
  func actorReady(_ message: LocalMessage, _ process: HubProcess) throws {
    let ready = try message.decode(ActorReference.self)
    guard let actor = process.actor, actor.spec.actor == ready.actor else {
      throw IorunError(.malformed, "a process says that another one's actor is ready")
    }
    if ready.failed == true {
      // Not started anew: the same constructor would fail again.
      process.order = (ready.message ?? "its constructor failed", true, false)
      if message.blob.count <= ProcessLoss.errorLimit { actor.error = Data(message.blob) }
      gone(process)
      return
    }
    actor.isReady = true
    scheduler.actorIsReady(actor, self)
    let status = actor.status(.alive, node: settings.node)
    take(status)
    report(status)
  }

  private func report(_ status: RuntimeActorStatus) {
    callHead {
      try await $0.actorChanged(status)
    } done: { hub, result in
      guard case .failure(let error) = result else { return }
      hub.logger.warning("the head was not told of an actor's change: \(error)")
      // A head that comes back learns of living actors from the registration, of dead ones so.
      if status.state == .dead, (error as? IorunError)?.code != .notFound {
        hub.after(.seconds(2)) { $0.report(status) }
      }
    }
  }

  /// The process says that it is about to end by itself.
  func exiting(_ message: LocalMessage, _ process: HubProcess) throws {
    struct Farewell: Decodable {
      var intended: Bool?
      var reason: String?
      /// It takes no more calls, but stays until nobody needs its objects.
      var stays: Bool?
    }
    let farewell = try message.decode(Farewell.self)
    process.farewell = (farewell.reason ?? "", farewell.intended ?? false)
    if farewell.stays == true {
      scheduler.retired(process.worker, self)
    } else {
      condemn(process)
    }
  }

  /// The process of an actor is gone. Whether it comes again is the head's to say.
  func actorGone(_ actor: HubActor, _ process: HubProcess, _ cause: ProcessLoss) {
    var cause = process.startFailure ?? cause
    cause.error = actor.error
    report(actor.status(.dead, node: settings.node, cause: cause))
  }

  /// The head ends an actor here. That it is gone already is what was wanted.
  func stopActor(_ actor: RuntimeActorID, reason: ProcessLoss, inOrder: Bool) {
    guard let process = process(of: actor), let running = process.actor else { return }
    struct Stop: Encodable {
      var reason: String
      var drain: Bool
    }
    if inOrder, let connection = process.connection, running.isReady {
      guard !running.isReleased else { return }
      running.isReleased = true
      // It ends by itself once its queue is empty.
      process.farewell = (reason.message, true)
      event(.stop, to: connection, Stop(reason: reason.message, drain: true))
      return
    }
    process.order = (reason.message, reason.detail.intended ?? true, false)
    gone(process)
  }
}
