internal import Distributed
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The calls that wait for one actor. They start in the order in which they came, at most
/// `concurrency` at a time: in spite of Swift's reentrancy an actor with 1 is never in two calls.
///
/// Bounded by the callers' credit: a call's bytes count against it until the call has been executed.
final class ActorMailbox: Sendable {
  private struct State {
    var queue: [InboundCall] = []
    var head = 0
    var running = 0
    /// Calls whose callers gave them up; looked at when a call's turn comes.
    var cancelled: Set<CallKey> = []
  }

  private struct CallKey: Hashable {
    let caller: PeerID
    let id: UInt64
  }

  /// More cancellations than this at once count for nothing: their calls are executed.
  private static let cancellationLimit = 4096

  private let concurrency: Int
  /// Where calls run; `nil` for the pool.
  private let executor: (any TaskExecutor)?
  private unowned let system: MeshActorSystem
  private let state = Mutex(State())

  init(concurrency: Int, executor: (any TaskExecutor)?, system: MeshActorSystem) {
    self.concurrency = max(1, concurrency)
    self.executor = executor
    self.system = system
  }

  /// Appends a call. `actor` is kept alive until its queue is empty.
  func append(_ call: InboundCall, for actor: any DistributedActor) {
    let start = state.withLock { state in
      state.queue.append(call)
      guard state.running < concurrency else { return false }
      state.running += 1
      return true
    }
    if start { Task(executorPreference: executor) { await self.drain(actor) } }
  }

  /// Keeps a call from being executed, unless it has started.
  func cancel(_ id: UInt64, of caller: PeerID) {
    state.withLock { state in
      // Where nothing waits, the call has started or is over.
      guard state.head < state.queue.count, state.cancelled.count < Self.cancellationLimit else {
        return
      }
      state.cancelled.insert(CallKey(caller: caller, id: id))
    }
  }

  /// True where no call waits or runs.
  var isIdle: Bool { state.withLock { $0.running == 0 } }

  private func next() -> InboundCall? {
    state.withLock { state in
      guard state.head < state.queue.count else {
        state.queue.removeAll(keepingCapacity: state.queue.count < 4096)
        state.head = 0
        state.cancelled.removeAll()
        state.running -= 1
        return nil
      }
      let call = state.queue[state.head]
      state.head += 1
      if state.head > 1024, state.head > state.queue.count / 2 {
        state.queue.removeFirst(state.head)
        state.head = 0
      }
      return call
    }
  }

  /// True where nobody waits for the call's answer any more: it was cancelled, or its time is up.
  private func isGivenUp(_ call: InboundCall) -> Bool {
    if ContinuousClock.now > call.deadline { return true }
    return state.withLock { state in
      guard !state.cancelled.isEmpty else { return false }
      return state.cancelled.remove(CallKey(caller: call.caller, id: call.call.id)) != nil
    }
  }

  private func drain(_ actor: any DistributedActor) async {
    while let call = next() {
      guard !isGivenUp(call) else {
        system.dropped(call)
        continue
      }
      await MeshActorSystem.$caller.withValue(call.principal) {
        await system.execute(call, on: actor)
      }
    }
  }
}
