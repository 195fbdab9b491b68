internal import IorunCore
internal import IorunWire
internal import Logging
internal import Synchronization

/// The objects of other processes that this one refers to, and those of its own that others do.
///
/// Whoever gives a reference to a process tells the owner, before it could drop its own; whoever has
/// none left says how many times it was given one. The owner keeps the sum for each process: in
/// whatever order these arrive, a sum is zero only when no reference is left there.
final class ObjectTable: Sendable {
  /// Values up to this size travel in messages; larger ones go to the object store.
  static let inlineLimit = 100 * 1024

  private struct Weak { weak var handle: ObjectHandle? }

  private struct Lent {
    let handle: ObjectHandle
    var counts: [WorkerID: Int64] = [:]
  }

  private struct State {
    var borrowed: [ObjectID: Weak] = [:]
    var lent: [ObjectID: Lent] = [:]
    var nextCounter: UInt64 = 1
  }

  private let state = Mutex(State())
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess) { self.process = process }

  /// How many objects of this process others refer to.
  var lentCount: Int { state.withLock { $0.lent.count } }

  /// Names for the results of one task, or for one object.
  func nextCounter() -> UInt64 {
    state.withLock { state in
      defer { state.nextCounter += 1 }
      return state.nextCounter
    }
  }

  /// A new object of this process.
  func make(
    counter: UInt64? = nil, index: UInt32 = 0, outcome: ObjectHandle.Outcome? = nil
  ) -> ObjectHandle {
    let id = ObjectID(owner: process.worker, counter: counter ?? nextCounter(), index: index)
    return ObjectHandle(id, owner: process.address, process: process, outcome: outcome)
  }

  // MARK: Giving

  /// Counts references that are about to be sent to a process.
  func lend(_ objects: [ObjectHandle], to receiver: ProcessAddress) throws {
    for object in objects {
      if object.isOwned {
        count(object.id, object, receiver.worker, 1)
      } else if object.owner.worker != receiver.worker {
        try process.peers.peer(object.owner).send(.borrow) { frame in
          frame.append(object: object.id)
          frame.append(id: receiver.worker)
        }
      }
    }
  }

  /// A third process was given a reference of an object of ours.
  func borrowed(_ id: ObjectID, by worker: WorkerID) { count(id, nil, worker, 1) }

  /// A process has no reference left, having been given `receipts`.
  func unborrowed(_ id: ObjectID, by worker: WorkerID, receipts: UInt64) {
    count(id, nil, worker, -Int64(clamping: receipts))
  }

  private func count(_ id: ObjectID, _ handle: ObjectHandle?, _ worker: WorkerID, _ change: Int64) {
    // The last reference leaves the lock with us: its end takes the lock.
    let last = state.withLock { state -> ObjectHandle? in
      guard var lent = state.lent[id] ?? handle.map({ Lent(handle: $0) }) else { return nil }
      let sum = lent.counts[worker, default: 0] + change
      lent.counts[worker] = sum == 0 ? nil : sum
      state.lent[id] = lent.counts.isEmpty ? nil : lent
      return lent.handle
    }
    _ = last
  }

  /// The process is gone, and its references with it.
  func lost(_ worker: WorkerID) {
    let last = state.withLock { state in
      var last: [ObjectHandle] = []
      for (id, var lent) in state.lent where lent.counts.removeValue(forKey: worker) != nil {
        last.append(lent.handle)
        state.lent[id] = lent.counts.isEmpty ? nil : lent
      }
      return last
    }
    _ = last
  }

  // MARK: Being given

  /// A reference that has arrived, with the value where that came along.
  func received(_ id: ObjectID, owner: ProcessAddress, value: [UInt8]?) -> ObjectHandle {
    if id.owner == process.worker {
      // Whoever sent it holds a reference, so that it is lent.
      if let handle = state.withLock({ $0.lent[id]?.handle }) { return handle }
      return ObjectHandle(
        id, owner: process.address, process: process,
        outcome: .failure(
          process.errors.encode(
            IorunError(.notFound, "object \(id) has been freed, or never was"))))
    }
    let handle = state.withLock { state in
      if let handle = state.borrowed[id]?.handle { return handle }
      let handle = ObjectHandle(id, owner: owner, process: process)
      state.borrowed[id] = Weak(handle: handle)
      return handle
    }
    handle.received()
    if let value { handle.complete(.value(Payload(bytes: value))) }
    return handle
  }

  /// An object of ours that another process asks for.
  func lent(_ id: ObjectID) -> ObjectHandle? { state.withLock { $0.lent[id]?.handle } }

  /// The process's last reference is gone.
  func gone(
    _ id: ObjectID, owner: ProcessAddress, receipts: UInt64, outcome: ObjectHandle.Outcome?
  ) {
    if owner.worker == process.worker {
      if case .stored(let object)? = outcome { process.store.free(id, object) }
      return
    }
    // A later handle of the same object leaves the lock with us, as above.
    let later = state.withLock { state -> ObjectHandle? in
      let later = state.borrowed[id]?.handle
      if later == nil { state.borrowed[id] = nil }
      return later
    }
    _ = later
    guard receipts > 0 else { return }
    do {
      try process.peers.peer(owner).send(.unborrow) { frame in
        frame.append(object: id)
        frame.append(integer: receipts)
      }
    } catch {
      // The owner is gone, and the object with it.
      process.logger.debug("a reference was not returned", metadata: ["error": "\(error)"])
    }
  }
}
