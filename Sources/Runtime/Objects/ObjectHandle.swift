internal import IorunCore
internal import IorunWire
internal import Logging
internal import Synchronization

/// An object as one process knows it: its value, where it is, or that it is still to come. Swift counts
/// the references within the process; the last one to go tells the object's owner.
final class ObjectHandle: Sendable {
  /// What became of the object.
  enum Outcome: Sendable {
    case value(Payload)
    case stored(StoredObject)
    case failure(Envelope.RemoteFailure)
  }

  private struct State {
    var outcome: Outcome?
    var waiters: [(id: UInt64, call: @Sendable () -> Void)] = []
    var nextWaiter: UInt64 = 0
    /// How many times the owner was told that this process is given a reference.
    var receipts: UInt64 = 0
    var isFetching = false
    /// The task that makes it, or made it: to cancel it, or to run it again.
    var task: TaskRecord?
  }

  let id: ObjectID
  /// The process that owns it.
  let owner: ProcessAddress
  let process: ClusterProcess
  private let state: Mutex<State>

  init(_ id: ObjectID, owner: ProcessAddress, process: ClusterProcess, outcome: Outcome? = nil) {
    self.id = id
    self.owner = owner
    self.process = process
    state = Mutex(State(outcome: outcome))
  }

  deinit {
    let (receipts, outcome) = state.withLock { ($0.receipts, $0.outcome) }
    process.objects.gone(id, owner: owner, receipts: receipts, outcome: outcome)
  }

  var isOwned: Bool { owner.worker == process.worker }

  /// True where waiting for it would return at once.
  var isReady: Bool { state.withLock { $0.outcome != nil } }

  /// The outcome, where it is there.
  var outcome: Outcome? { state.withLock { $0.outcome } }

  /// The bytes of a small value that refers to no other object.
  var plainValue: [UInt8]? {
    guard case .value(let payload)? = outcome, payload.objects.isEmpty,
      payload.bytes.count <= ObjectTable.inlineLimit
    else { return nil }
    return payload.bytes
  }

  var task: TaskRecord? {
    get { state.withLock { $0.task } }
    set { state.withLock { $0.task = newValue } }
  }

  func received() { state.withLock { $0.receipts += 1 } }

  /// Sets the outcome, once, and wakes whoever waits.
  func complete(_ outcome: Outcome) {
    let waiters = state.withLock { state in
      guard state.outcome == nil else { return [] as [@Sendable () -> Void] }
      state.outcome = outcome
      state.isFetching = false
      // What is held no lineage is needed for.
      if case .stored = outcome {} else { state.task = nil }
      defer { state.waiters = [] }
      return state.waiters.map(\.call)
    }
    for waiter in waiters { waiter() }
  }

  /// Forgets an outcome that turned out to be lost, so that it can be made again.
  func reset() { state.withLock { $0.outcome = nil } }

  /// Has `call` called once the outcome is there; `nil` where it is there already. Begins to ask the
  /// owner where that is another process.
  func whenReady(_ call: @escaping @Sendable () -> Void) -> UInt64? {
    let (id, fetches) = state.withLock { state -> (UInt64?, Bool) in
      guard state.outcome == nil else { return (nil, false) }
      state.nextWaiter += 1
      state.waiters.append((state.nextWaiter, call))
      let fetches = !isOwned && !state.isFetching
      if fetches { state.isFetching = true }
      return (state.nextWaiter, fetches)
    }
    if fetches { fetch(isLost: false) }
    return id
  }

  /// Takes a waiter back; false where it was called, or is being.
  @discardableResult
  func forget(_ waiter: UInt64) -> Bool {
    state.withLock { state in
      guard let index = state.waiters.firstIndex(where: { $0.id == waiter }) else { return false }
      state.waiters.remove(at: index)
      return true
    }
  }

  /// The outcome, when it is there.
  ///
  /// - Throws: `CancellationError` when the waiting task is cancelled.
  func wait() async throws -> Outcome {
    if let outcome { return outcome }
    let gate = WaitGate()
    return try await process.tasks.waiting {
      try await withTaskCancellationHandler {
        try await withUnsafeThrowingContinuation { (done: UnsafeContinuation<Void, any Error>) in
          gate.wait(done)
          if let waiter = whenReady({ gate.open() }) {
            gate.onCancel { [weak self] in self?.forget(waiter) }
          } else {
            gate.open()
          }
        }
      } onCancel: {
        gate.cancel()
      }
      guard let outcome else {
        throw IorunError(.internalFault, "object \(id) was announced and is not there")
      }
      return outcome
    }
  }

  /// A node that should have the object has not: its owner may have it made again.
  func refetch() {
    state.withLock { state in
      state.outcome = nil
      state.isFetching = true
    }
    fetch(isLost: true)
  }

  private func fetch(isLost: Bool) {
    Task(executorPreference: process.executor) { [self] in
      do {
        let peer = try process.peers.peer(owner)
        let reply = try await peer.ask(.fetch, flags: isLost ? 1 : 0) { $0.append(object: id) }
        switch reply {
        case .value(let payload): complete(.value(payload))
        case .stored(let object): complete(.stored(object))
        case .failure(let failure): complete(.failure(failure))
        case .nothing: throw IorunError(.malformed, "an owner answered without its object")
        }
      } catch {
        complete(
          .failure(
            process.errors.encode(
              IorunError(
                .objectLost, "the owner of object \(id) is gone",
                remedy:
                  "An object ends with the process that made it: keep that process alive",
                cause: error))))
      }
    }
  }
}

/// A continuation that is resumed once: by an event or by a cancellation.
final class WaitGate: Sendable {
  private enum State {
    case new
    case waiting(UnsafeContinuation<Void, any Error>)
    case done(isCancelled: Bool)
  }
  private let state = Mutex((State.new, onCancel: (@Sendable () -> Void)?.none))

  func wait(_ continuation: UnsafeContinuation<Void, any Error>) {
    let early = state.withLock { state -> Bool? in
      if case .done(let isCancelled) = state.0 { return isCancelled }
      state.0 = .waiting(continuation)
      return nil
    }
    switch early {
    case true?: continuation.resume(throwing: CancellationError())
    case false?: continuation.resume()
    case nil: break
    }
  }

  /// What to do when the wait is cancelled, or was.
  func onCancel(_ body: @escaping @Sendable () -> Void) {
    let isCancelled = state.withLock { state in
      state.onCancel = body
      if case .done(isCancelled: true) = state.0 { return true }
      return false
    }
    if isCancelled { body() }
  }

  /// True once it was opened or cancelled.
  var isDone: Bool { state.withLock { if case .done = $0.0 { true } else { false } } }

  func open() { finish(isCancelled: false) }
  func cancel() { finish(isCancelled: true) }

  private func finish(isCancelled: Bool) {
    let (continuation, cleanUp) = state.withLock { state in
      let before = state.0
      if case .done = before { return (UnsafeContinuation<Void, any Error>?.none, state.onCancel) }
      state.0 = .done(isCancelled: isCancelled)
      guard case .waiting(let continuation) = before else { return (nil, state.onCancel) }
      return (continuation, state.onCancel)
    }
    guard let continuation else { return }
    if isCancelled {
      cleanUp?()
      continuation.resume(throwing: CancellationError())
    } else {
      continuation.resume()
    }
  }
}
