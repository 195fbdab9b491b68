internal import Synchronization

/// Wakes whoever waits for a change of one thing, without polling and without a lost wake-up:
///
///     let listener = doorbell.listen(to: job)  // first listen,
///     if let news = look() { return news }     // then look,
///     await listener.wait(atMost: .seconds(20), clock)  // then wait
final class Doorbell<Key: Hashable & Sendable>: Sendable {
  /// One who waits. Stops listening when it is let go.
  final class Listener: Sendable {
    private enum State {
      case idle
      case rung
      case waiting(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.idle)
    private let forget: @Sendable () -> Void

    fileprivate init(forget: @escaping @Sendable () -> Void) { self.forget = forget }

    deinit { forget() }

    fileprivate func ring() {
      let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
        defer { state = .rung }
        if case .waiting(let continuation) = state { return continuation }
        return nil
      }
      waiting?.resume()
    }

    /// Returns once it has rung since `listen`, the time is over or the task is cancelled.
    func wait(atMost time: Duration, _ clock: HeadClock) async {
      let timer = Task { [weak self] in
        try? await clock.sleep(time)
        self?.ring()
      }
      defer { timer.cancel() }
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let isRung = state.withLock { state in
            if case .rung = state { return true }
            state = .waiting(continuation)
            return false
          }
          if isRung { continuation.resume() }
        }
      } onCancel: {
        ring()
      }
    }
  }

  private struct WeakListener { weak var listener: Listener? }
  private struct State {
    var next: UInt64 = 0
    var listeners: [Key: [UInt64: WeakListener]] = [:]
  }

  private let state = Mutex(State())

  /// Starts to listen: a ring from now on ends `wait`.
  func listen(to key: Key) -> Listener {
    state.withLock { state in
      state.next += 1
      let number = state.next
      let listener = Listener { [weak self] in self?.forget(key, number) }
      state.listeners[key, default: [:]][number] = WeakListener(listener: listener)
      return listener
    }
  }

  /// Wakes everyone who listens to `key`.
  func ring(_ key: Key) {
    for listener in listeners(of: key) { listener.ring() }
  }

  /// Wakes everyone.
  func ringAll() {
    let keys = state.withLock { Array($0.listeners.keys) }
    for key in keys { ring(key) }
  }

  // The strong references must not be let go under the lock: `deinit` takes it again.
  private func listeners(of key: Key) -> [Listener] {
    var found: [Listener] = []
    state.withLock { state in
      for (_, weak) in state.listeners[key, default: [:]] {
        if let listener = weak.listener { found.append(listener) }
      }
    }
    return found
  }

  private func forget(_ key: Key, _ number: UInt64) {
    state.withLock { state in
      state.listeners[key]?[number] = nil
      if state.listeners[key]?.isEmpty == true { state.listeners[key] = nil }
    }
  }
}
