internal import Distributed
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// A call of another process on its way to an actor of this one.
struct HostedCall: Sendable {
  let number: UInt64
  let target: String
  let arguments: Payload
  let peer: Peer
}

/// An actor that this process runs, and the calls that wait for it: they start in the order in which
/// they came, at most `concurrency` at a time. In spite of Swift's reentrancy an actor with 1 is never
/// in two calls.
final class HostedActor: Sendable {
  private enum Life {
    case coming
    case alive(any DistributedActor)
    case over(any Error)
  }

  private struct State {
    var life = Life.coming
    var queue: [HostedCall] = []
    var head = 0
    var running = 0
    var isReleased = false
    var lines: [UInt64: Task<Void, Never>] = [:]
    var nextLine: UInt64 = 0
  }

  let id: RuntimeActorID
  /// Who made it, or keeps it alive.
  let creator: WorkerID
  private let concurrency: Int
  private unowned let process: ClusterProcess
  private let state = Mutex(State())

  init(_ id: RuntimeActorID, creator: WorkerID, concurrency: Int, process: ClusterProcess) {
    self.id = id
    self.creator = creator
    self.concurrency = max(1, concurrency)
    self.process = process
  }

  /// The actor itself, once it is made.
  var actor: (any DistributedActor)? {
    state.withLock { if case .alive(let actor) = $0.life { actor } else { nil } }
  }

  /// The actor has been made; calls that came before run now.
  func made(_ actor: any DistributedActor) {
    let starts = state.withLock { state -> Int in
      guard case .coming = state.life else { return 0 }
      state.life = .alive(actor)
      let starts = min(concurrency, state.queue.count - state.head)
      state.running = starts
      return starts
    }
    for _ in 0..<starts { work() }
    endWhereReleased()
  }

  func append(_ call: HostedCall) {
    let outcome = state.withLock { state -> Result<Bool, any Error> in
      if case .over(let error) = state.life { return .failure(error) }
      state.queue.append(call)
      guard case .alive = state.life, state.running < concurrency else { return .success(false) }
      state.running += 1
      return .success(true)
    }
    switch outcome {
    case .success(true): work()
    case .success(false): break
    case .failure(let error): process.actors.answer(call, .failure(process.errors.encode(error)))
    }
  }

  /// The caller gave a call up: it is not executed, unless it has started.
  func cancel(_ number: UInt64, of caller: WorkerID) {
    state.withLock { state in
      state.queue[state.head...].firstIndex {
        $0.number == number && $0.peer.address.worker == caller
      }.map { _ = state.queue.remove(at: $0) }
    }
  }

  /// The creator needs the actor no more: it ends once its calls are done.
  func release() {
    state.withLock { $0.isReleased = true }
    endWhereReleased()
  }

  /// Ends the actor; calls that wait fail, those that run are asked to end.
  func end(_ error: any Error) {
    // The actor leaves the lock with us: its end calls `resignID`.
    let (before, calls, lines) = state.withLock { state in
      let before = state.life
      state.life = .over(error)
      defer {
        state.queue = []
        state.head = 0
      }
      return (before, Array(state.queue[state.head...]), Array(state.lines.values))
    }
    _ = before
    for call in calls { process.actors.answer(call, .failure(process.errors.encode(error))) }
    for line in lines { line.cancel() }
    process.actors.forget(self)
  }

  private func endWhereReleased() {
    let isIdle = state.withLock { state in
      guard case .alive = state.life else { return false }
      return state.isReleased && state.running == 0 && state.head == state.queue.count
    }
    if isIdle { end(IorunError(.actorNotFound, "the actor ended: nobody referred to it any more")) }
  }

  private func work() {
    let number = state.withLock { state in
      state.nextLine += 1
      return state.nextLine
    }
    let line = Task(executorPreference: process.executor) { [self] in
      while let (call, actor) = next() { await process.actors.execute(call, on: actor) }
      state.withLock { _ = $0.lines.removeValue(forKey: number) }
      endWhereReleased()
    }
    // A line that has ended already is not kept.
    state.withLock { state in
      if state.running > 0 { state.lines[number] = line }
    }
  }

  private func next() -> (HostedCall, any DistributedActor)? {
    state.withLock { state in
      guard case .alive(let actor) = state.life, state.head < state.queue.count else {
        state.running -= 1
        if state.head == state.queue.count {
          state.queue.removeAll(keepingCapacity: state.queue.capacity < 4096)
          state.head = 0
        }
        return nil
      }
      let call = state.queue[state.head]
      state.head += 1
      if state.head > 1024, state.head > state.queue.count / 2 {
        state.queue.removeFirst(state.head)
        state.head = 0
      }
      return (call, actor)
    }
  }
}
