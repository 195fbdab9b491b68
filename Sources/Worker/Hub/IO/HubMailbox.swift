internal import CShim
internal import Glibc
internal import IorunCore
internal import Synchronization

/// How other threads speak to the hub's thread: a locked list of work to do there, and an eventfd that
/// is written only when the thread sleeps.
final class HubMailbox: Sendable {
  /// Work that runs on the hub's thread.
  typealias Work = @Sendable (Hub) -> Void

  private struct State {
    var work: [Work] = []
    var isSleeping = false
    var isStopped = false
  }

  private let state = Mutex(State())
  /// Readable when there is work.
  let descriptor: Int32

  /// - Throws: `internalFault` where the process has no descriptor left.
  init() throws {
    descriptor = iorun_eventfd_create()
    guard descriptor >= 0 else {
      throw IorunError(
        .internalFault, "cannot make an eventfd: error \(-descriptor)",
        remedy: "Raise the limit on open files (`ulimit -n`)")
    }
  }

  deinit { close(descriptor) }

  /// Runs `work` on the hub's thread, soon and in order. False where the hub has stopped: then it never
  /// runs.
  @discardableResult
  func post(_ work: @escaping Work) -> Bool {
    let (accepted, wake) = state.withLock { state -> (Bool, Bool) in
      guard !state.isStopped else { return (false, false) }
      state.work.append(work)
      defer { state.isSleeping = false }
      return (true, state.isSleeping)
    }
    if wake { iorun_eventfd_signal(descriptor) }
    return accepted
  }

  /// Runs `work` on the hub's thread and waits for what comes of it.
  ///
  /// - Throws: what `work` throws; `unreachable` where the hub has stopped.
  func ask<Answer: Sendable>(
    _ work: @escaping @Sendable (Hub) throws -> Answer
  ) async throws -> Answer {
    try await withCheckedThrowingContinuation { continuation in
      let accepted = post { hub in continuation.resume(with: Result { try work(hub) }) }
      if !accepted { continuation.resume(throwing: Self.stopped) }
    }
  }

  /// What is said of a hub that has stopped.
  static var stopped: IorunError {
    IorunError(.unreachable, "this node's runtime side has stopped")
  }

  /// Takes all work; where there is none and the caller is about to sleep, notes that.
  func take(orSleep: Bool) -> [Work] {
    state.withLock { state in
      state.isSleeping = orSleep && state.work.isEmpty
      defer { state.work = [] }
      return state.work
    }
  }

  /// Refuses everything from now on and returns what is left.
  func stop() -> [Work] {
    state.withLock { state in
      state.isStopped = true
      defer { state.work = [] }
      return state.work
    }
  }
}
