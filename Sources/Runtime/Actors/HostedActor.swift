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
/// in two calls, but for methods of a `ConcurrencyGroup`, which wait in a lane of their own.
final class HostedActor: Sendable {
  private enum Life {
    case coming
    case alive(any DistributedActor)
    case over(any Error)
  }

  /// Calls that wait for each other, and how many of them run.
  private struct Lane {
    let limit: Int
    var queue: [HostedCall] = []
    var head = 0
    var running = 0

    init(limit: Int) { self.limit = max(1, limit) }

    var waiting: Int { queue.count - head }

    mutating func next() -> HostedCall? {
      guard head < queue.count else {
        queue.removeAll(keepingCapacity: queue.capacity < 4096)
        head = 0
        return nil
      }
      let call = queue[head]
      head += 1
      if head > 1024, head > queue.count / 2 {
        queue.removeFirst(head)
        head = 0
      }
      return call
    }
  }

  private struct State {
    var life = Life.coming
    /// The first one is that of all methods which are in no group.
    var lanes: [Lane]
    var isReleased = false
    /// What runs the calls of a lane; `nil` for a moment, until it is known here.
    var lines: [UInt64: Task<Void, Never>?] = [:]
    var nextLine: UInt64 = 0
  }

  let id: RuntimeActorID
  /// Who made it, or keeps it alive.
  let creator: WorkerID
  /// The lane of each method that is in a group.
  private let lanes: [String: Int]
  private unowned let process: ClusterProcess
  private let state: Mutex<State>

  init(
    _ id: RuntimeActorID, creator: WorkerID, concurrency: Int, groups: [ConcurrencyGroup],
    process: ClusterProcess
  ) {
    self.id = id
    self.creator = creator
    self.process = process
    let pairs = groups.enumerated().flatMap { index, group in
      group.methods.map { ($0, index + 1) }
    }
    lanes = Dictionary(pairs) { first, _ in first }
    state = Mutex(State(lanes: ([concurrency] + groups.map(\.limit)).map(Lane.init)))
  }

  /// The actor itself, once it is made.
  var actor: (any DistributedActor)? {
    state.withLock { if case .alive(let actor) = $0.life { actor } else { nil } }
  }

  /// The actor has been made; calls that came before run now.
  func made(_ actor: any DistributedActor) {
    let starts = state.withLock { state -> [Int] in
      guard case .coming = state.life else { return [] }
      state.life = .alive(actor)
      return state.lanes.indices.flatMap { index in
        let starts = min(state.lanes[index].limit, state.lanes[index].waiting)
        state.lanes[index].running = starts
        return Array(repeating: index, count: starts)
      }
    }
    for lane in starts { work(lane) }
    endWhereReleased()
  }

  func append(_ call: HostedCall) {
    let lane = lanes.isEmpty ? 0 : lanes[process.actors.methods.name(of: call.target)] ?? 0
    let outcome = state.withLock { state -> Result<Bool, any Error> in
      if case .over(let error) = state.life { return .failure(error) }
      state.lanes[lane].queue.append(call)
      guard case .alive = state.life, state.lanes[lane].running < state.lanes[lane].limit else {
        return .success(false)
      }
      state.lanes[lane].running += 1
      return .success(true)
    }
    switch outcome {
    case .success(true): work(lane)
    case .success(false): break
    case .failure(let error): process.actors.answer(call, .failure(process.errors.encode(error)))
    }
  }

  /// The caller gave a call up: it is not executed, unless it has started.
  func cancel(_ number: UInt64, of caller: WorkerID) {
    state.withLock { state in
      for index in state.lanes.indices {
        let lane = state.lanes[index]
        let place = lane.queue[lane.head...].firstIndex {
          $0.number == number && $0.peer.address.worker == caller
        }
        if let place { state.lanes[index].queue.remove(at: place) }
      }
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
      let calls = state.lanes.flatMap { $0.queue[$0.head...] }
      for index in state.lanes.indices {
        state.lanes[index].queue = []
        state.lanes[index].head = 0
      }
      return (before, calls, Array(state.lines.values))
    }
    _ = before
    for call in calls { process.actors.answer(call, .failure(process.errors.encode(error))) }
    for line in lines { line?.cancel() }
    process.actors.forget(self)
  }

  private func endWhereReleased() {
    let isIdle = state.withLock { state in
      guard case .alive = state.life else { return false }
      return state.isReleased && state.lanes.allSatisfy { $0.running == 0 && $0.waiting == 0 }
    }
    if isIdle { end(IorunError(.actorNotFound, "the actor ended: nobody referred to it any more")) }
  }

  private func work(_ lane: Int) {
    let number = state.withLock { state in
      state.nextLine += 1
      state.lines[state.nextLine] = .some(nil)
      return state.nextLine
    }
    let line = Task(executorPreference: process.executor) { [self] in
      while let (call, actor) = next(lane) { await process.actors.execute(call, on: actor) }
      state.withLock { _ = $0.lines.removeValue(forKey: number) }
      endWhereReleased()
    }
    // A line that has ended already is not kept.
    state.withLock { state in
      if state.lines[number] != nil { state.lines[number] = line }
    }
  }

  private func next(_ lane: Int) -> (HostedCall, any DistributedActor)? {
    state.withLock { state in
      guard case .alive(let actor) = state.life, let call = state.lanes[lane].next() else {
        state.lanes[lane].running -= 1
        return nil
      }
      return (call, actor)
    }
  }
}
