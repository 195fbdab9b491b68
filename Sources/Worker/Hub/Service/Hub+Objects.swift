internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// Names an object, in requests and notes.
private struct ObjectReference: Decodable {
  var object: ObjectID
  var size: Int64?
  var locations: [NodeID]?
}

private struct ObjectReferences<Item: Decodable>: Decodable {
  var objects: [Item]
}

extension Hub {
  /// How far ahead of what is in use pages are made ready.
  static let warmAhead: Int64 = 256 << 20

  private func store(_ process: HubProcess) throws -> ObjectStore {
    guard let store = process.job.store else {
      throw IorunError(.internalFault, "job \(process.job.id) has no object store on this node")
    }
    return store
  }

  // MARK: Writing

  func alloc(_ message: LocalMessage, _ ask: HubRequest) throws {
    let wish = try message.decode(ObjectReference.self)
    guard let size = wish.size else { throw IorunError(.malformed, "alloc lacks 'size'") }
    let store = try store(ask.process)
    let (ticket, worker) = (ask.ticket, ask.process.worker)
    store.attempt(
      wish.object, isAllocation: true, self,
      fail: { $0.respond(ticket.connection, ticket.number, error: $1) }
    ) { hub, store in
      guard hub.connections[ticket.connection] != nil else { return true }
      switch store.books.alloc(wish.object, size: size, by: worker) {
      case .room(let offset):
        hub.respond(ticket.connection, ticket.number, json: "{\"offset\":\(offset)}".utf8)
        store.warmer.warm(upTo: store.books.highWater + Self.warmAhead)
        return true
      case .spill(let transfers):
        store.spill(transfers, hub)
        return false
      case .wait: return false
      case .full(let reason):
        hub.respond(
          ticket.connection, ticket.number,
          error: IorunError(
            .storeFull, "the object store is full: \(reason)",
            remedy: "Free objects, or start the node with --object-store-memory"))
        return true
      case .exists:
        hub.respond(
          ticket.connection, ticket.number,
          error: IorunError(.wrongState, "object \(wish.object) exists already"))
        return true
      }
    }
  }

  func seal(_ message: LocalMessage, _ process: HubProcess) throws {
    let object = try message.decode(ObjectReference.self).object
    let store = try store(process)
    guard store.books.seal(object, by: process.worker) else { return }
    store.changed(self)
  }

  func abort(_ message: LocalMessage, _ process: HubProcess) throws {
    let object = try message.decode(ObjectReference.self).object
    let store = try store(process)
    guard store.books.abort(object, by: process.worker) else { return }
    store.changed(self)
  }

  func unpin(_ message: LocalMessage, _ process: HubProcess) throws {
    let store = try store(process)
    for object in try message.decode(ObjectReferences<ObjectID>.self).objects {
      store.books.unpin(object, by: process.worker)
    }
    store.changed(self)
  }

  /// The owner needs objects no more: they go here, and wherever else they are.
  func free(_ message: LocalMessage, _ process: HubProcess) throws {
    let store = try store(process)
    var elsewhere: [NodeID: [ObjectID]] = [:]
    for item in try message.decode(ObjectReferences<ObjectReference>.self).objects {
      // Nobody frees what somebody else still needs.
      guard item.object.owner == process.worker else { continue }
      store.books.free(item.object)
      // What another job's actor returned lies in that job's arena.
      if jobs.count > 1 {
        for job in jobs.values where job.store !== store { job.store?.books.free(item.object) }
      }
      let places = Set(item.locations ?? []).union(
        store.copies.removeValue(forKey: item.object) ?? [])
      for node in places where node != settings.node {
        elsewhere[node, default: []].append(item.object)
      }
    }
    free(elsewhere, of: process.job.id)
    store.changed(self)
  }

  private func free(_ objects: [NodeID: [ObjectID]], of job: JobID) {
    for (node, objects) in objects {
      let ids = objects.map { Data($0.bytes) }
      callNode(node) {
        try await $0.free(job, objects: ids)
      } done: { hub, result in
        hub.noted("objects on another node could not be freed")(hub, result)
      }
    }
  }

  /// Another node's hub says that an owner there needs objects no more.
  func freed(_ objects: [Data], of job: HubJob) {
    guard let store = job.store else { return }
    var further: [NodeID: [ObjectID]] = [:]
    for object in objects.compactMap({ ObjectID(bytes: $0) }) {
      store.books.free(object)
      for node in store.copies.removeValue(forKey: object) ?? [] {
        further[node, default: []].append(object)
      }
    }
    free(further, of: job.id)
    store.changed(self)
  }

  // MARK: Reading

  func pin(_ message: LocalMessage, _ ask: HubRequest) throws {
    let wish = try message.decode(ObjectReference.self)
    let store = try store(ask.process)
    let (ticket, worker) = (ask.ticket, ask.process.worker)
    store.attempt(
      wish.object, self, fail: { $0.respond(ticket.connection, ticket.number, error: $1) }
    ) { hub, store in
      guard hub.connections[ticket.connection] != nil else { return true }
      let outcome = store.books.pin(wish.object, by: worker)
      switch outcome {
      case .here(let offset, let size):
        hub.respond(
          ticket.connection, ticket.number, json: "{\"offset\":\(offset),\"size\":\(size)}".utf8)
        return true
      case .restore, .spill, .wait:
        hub.makeWay(for: outcome, in: store)
        return false
      case .unknown:
        do {
          if let neighbour = hub.neighbour(of: store, with: wish.object) {
            hub.copy(wish.object, from: neighbour, into: store)
          } else {
            try hub.pull(wish.object, size: wish.size, from: wish.locations ?? [], into: store)
          }
          return false
        } catch {
          hub.respond(ticket.connection, ticket.number, error: error)
          return true
        }
      }
    }
  }

  /// Begins to move what keeps a pin from being had; whoever wants it asks again on the next change.
  func makeWay(for outcome: ObjectArena.PinOutcome, in store: ObjectStore) {
    switch outcome {
    case .restore(let transfer): store.restore(transfer, self)
    case .spill(let transfers): store.spill(transfers, self)
    case .here, .wait, .unknown: return
    }
  }

  /// Begins to bring an object here from other nodes.
  ///
  /// - Throws: `objectLost` where no other node is named, `storeFull`.
  private func pull(
    _ object: ObjectID, size: Int64?, from locations: [NodeID], into store: ObjectStore
  ) throws {
    let sources = locations.filter { $0 != settings.node && !nodes.isLost($0) }
    guard !sources.isEmpty, let size, size >= 0 else {
      throw IorunError(
        .objectLost, "object \(object) is on no node that can be reached",
        remedy: "Its task is run again where that is possible; a `put` is lost with its node")
    }
    guard store.pulls[object] == nil else { return }
    switch store.books.alloc(object, size: size, by: ObjectStore.carrier) {
    case .room(let offset):
      var pull = ObjectPull(size: size, sources: sources)
      let step = pull.begin()
      store.pulls[object] = ObjectStore.Pull(pull: pull, offset: offset)
      carryOut(step, of: object, store)
    case .spill(let transfers): store.spill(transfers, self)
    // Whoever pins tries again when something has changed.
    case .wait, .exists: return
    case .full(let reason):
      throw IorunError(
        .storeFull, "the object store is full: \(reason)",
        remedy: "Free objects, or start the node with --object-store-memory")
    }
  }

  private func carryOut(_ step: ObjectPull.Step, of object: ObjectID, _ store: ObjectStore) {
    switch step {
    case .ask(let requests): for request in requests { fetch(request, of: object, store) }
    case .done:
      store.pulls[object] = nil
      _ = store.books.seal(object, by: ObjectStore.carrier)
      store.changed(self)
      store.books.unpin(object, by: ObjectStore.carrier)
      store.changed(self)
    case .lost: store.pulls[object]?.isLost = true
    }
    guard let pull = store.pulls[object], pull.isLost, pull.underWay == 0 else { return }
    store.pulls[object] = nil
    _ = store.books.abort(object, by: ObjectStore.carrier)
    store.fail(
      object,
      IorunError(
        .objectLost, "object \(object) is on no node that can be reached",
        remedy: "Its task is run again where that is possible; a `put` is lost with its node"),
      self)
    store.changed(self)
  }

  private func fetch(_ request: ObjectPull.Request, of object: ObjectID, _ store: ObjectStore) {
    guard let offset = store.pulls[object]?.offset else { return }
    store.pulls[object]?.underWay += 1
    let (job, file, id, remotes) = (store.job, store.file, Data(object.bytes), remotes)
    let call = callNode(request.source) { _ in
      let bytes = try await remotes.objects(request.source).fetch(
        job, object: id, offset: request.offset, count: request.count)
      // Written here, off the hub's thread: the room is the carrier's until it is sealed.
      guard bytes.count == request.count,
        let target = file.bytes(offset + request.offset, Int64(request.count))
      else {
        throw IorunError(
          .malformed, "a node sent \(bytes.count) of \(request.count) bytes of an object")
      }
      bytes.copyBytes(to: target)
    } done: { hub, result in
      guard let store = hub.jobs[job]?.store, store.pulls[object] != nil else { return }
      store.pulls[object]?.underWay -= 1
      store.pulls[object]?.calls[request] = nil
      let step: ObjectPull.Step?
      switch result {
      case .success: step = store.pulls[object]?.pull.received(request)
      case .failure(let error):
        hub.logger.notice("a node does not give an object: \(error)")
        step = store.pulls[object]?.pull.failed(request)
      }
      if let step { hub.carryOut(step, of: object, store) }
    }
    store.pulls[object]?.calls[request] = call
  }

  /// A node is gone: what was asked of it is asked of others, and who waits for an object that nobody
  /// else has hears so now, and not when the calls' time is up.
  func cutFetches(from node: NodeID) {
    for pull in jobs.values.compactMap(\.store).flatMap(\.pulls.values) {
      for (request, call) in pull.calls where request.source == node { call.cancel() }
    }
  }

  /// Holds an object for another node's fetch; `done` gets its part of the arena, or why not.
  func hold(
    _ object: ObjectID, of job: JobID, for node: NodeID,
    done: @escaping @Sendable (Result<(ArenaFile, offset: Int64, size: Int64), any Error>) -> Void
  ) {
    let own = jobs[job]?.store
    let isOwn = own?.books.knows(object) ?? false
    guard let store = isOwn ? own : neighbour(of: own, with: object) ?? own else {
      done(.failure(IorunError(.objectLost, "job \(job) has no objects on this node")))
      return
    }
    store.attempt(object, self, fail: { done(.failure($1)) }) { hub, store in
      let outcome = store.books.pin(object, by: ObjectStore.carrier)
      switch outcome {
      case .here(let offset, let size):
        store.copies[object, default: []].insert(node)
        done(.success((store.file, offset, size)))
        return true
      case .restore, .spill, .wait:
        hub.makeWay(for: outcome, in: store)
        return false
      case .unknown:
        done(.failure(IorunError(.objectLost, "object \(object) is not on this node")))
        return true
      }
    }
  }

  /// A fetch is over.
  func letGo(_ object: ObjectID, of job: JobID) {
    let own = jobs[job]?.store
    // It may have been freed meanwhile, and may be another job's.
    for store in [own] + jobs.values.map(\.store) {
      guard let store, store.books.unpin(object, by: ObjectStore.carrier) else { continue }
      store.changed(self)
      return
    }
  }
}
