internal import Foundation
internal import IorunContract
internal import IorunCore

/// Objects that another job's processes on this node made.
extension Hub {
  /// The store of another job here that has an object: a named actor and who calls it may belong to
  /// different jobs.
  func neighbour(of store: ObjectStore?, with object: ObjectID) -> ObjectStore? {
    guard jobs.count > 1 else { return nil }
    for job in jobs.values {
      guard let other = job.store, other !== store, other.books.knows(object) else { continue }
      // Copies of copies would keep each other.
      if !other.guests.contains(object) { return other }
    }
    return nil
  }

  /// Copies an object of another job on this node. Who waits for it tries again whenever something
  /// has changed.
  func copy(_ object: ObjectID, from other: ObjectStore, into store: ObjectStore) {
    guard store.pulls[object] == nil else { return }
    let target = store.job
    let fail = { (hub: Hub, error: any Error) in
      // Later: who waits is not in the list before this call has returned.
      let cause = IorunError(
        .objectLost, "object \(object) of another job is not to be had", cause: error)
      hub.mailbox.post { $0.jobs[target]?.store?.fail(object, cause, $0) }
    }
    other.attempt(object, self, fail: fail) { hub, other in
      guard let store = hub.jobs[target]?.store else { return true }
      let outcome = other.books.pin(object, by: ObjectStore.carrier)
      switch outcome {
      case .here(let offset, let size):
        hub.copy(object, at: offset, size: size, of: other, into: store)
        return true
      case .restore, .spill, .wait:
        hub.makeWay(for: outcome, in: other)
        return false
      case .unknown:
        fail(hub, IorunError(.objectLost, "it was freed"))
        return true
      }
    }
  }

  /// The carrier holds the object in `other`.
  private func copy(
    _ object: ObjectID, at offset: Int64, size: Int64, of other: ObjectStore,
    into store: ObjectStore
  ) {
    let room: Int64
    switch store.books.alloc(object, size: size, by: ObjectStore.carrier) {
    case .room(let offset): room = offset
    case .spill(let transfers):
      store.spill(transfers, self)
      other.books.unpin(object, by: ObjectStore.carrier)
      return
    case .wait, .exists:
      other.books.unpin(object, by: ObjectStore.carrier)
      return
    case .full(let reason):
      other.books.unpin(object, by: ObjectStore.carrier)
      let error = IorunError(
        .storeFull, "the object store is full: \(reason)",
        remedy: "Free objects, or start the node with --object-store-memory")
      mailbox.post { [target = store.job] in $0.jobs[target]?.store?.fail(object, error, $0) }
      return
    }
    store.pulls[object] = ObjectStore.Pull(
      pull: ObjectPull(size: size, sources: []), offset: room)
    let (from, to, source, target) = (other.file, store.file, other.job, store.job)
    let mailbox = mailbox
    Task {
      var failure: (any Error)?
      do {
        try await Blocking.run {
          guard let bytes = from.bytes(offset, size), let place = to.bytes(room, size) else {
            throw IorunError(.internalFault, "an object lies outside its arena")
          }
          place.copyMemory(from: UnsafeRawBufferPointer(bytes))
        }
      } catch {
        failure = error
      }
      mailbox.post { [failure] hub in
        if let other = hub.jobs[source]?.store {
          other.books.unpin(object, by: ObjectStore.carrier)
          other.changed(hub)
        }
        guard let store = hub.jobs[target]?.store else { return }
        store.pulls[object] = nil
        if let failure {
          _ = store.books.abort(object, by: ObjectStore.carrier)
          store.fail(object, failure, hub)
        } else {
          _ = store.books.seal(object, by: ObjectStore.carrier)
          store.guests.insert(object)
          store.changed(hub)
          store.books.unpin(object, by: ObjectStore.carrier)
        }
        store.changed(hub)
      }
    }
  }
}
