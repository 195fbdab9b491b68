internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// Tells tasks when descriptors can be read or written: one thread of the process waits for all.
final class DescriptorPoller: Sendable {
  static let shared = Result { () throws(IorunError) in try DescriptorPoller() }

  private struct State {
    var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var nextKey: UInt64 = 1
  }

  private let poller: Int32
  private let state = Mutex(State())

  private init() throws(IorunError) {
    poller = iorun_poller_create()
    guard poller >= 0 else {
      throw IorunError.system("cannot watch", "descriptors", errno: -poller)
    }
    let thread = Thread { [self] in run() }
    thread.name = "iorun-poll"
    thread.start()
  }

  /// Draws the key of a descriptor's direction.
  func drawKey() -> UInt64 {
    state.withLock { state in
      defer { state.nextKey += 1 }
      return state.nextKey
    }
  }

  /// Waits until `descriptor` can be read (or written), is broken, or the task is cancelled. A
  /// descriptor has one waiter at a time.
  func wait(_ descriptor: Int32, key: UInt64, toWrite: Bool) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        state.withLock { $0.waiters[key] = continuation }
        let events = toWrite ? iorun_poller_write : iorun_poller_read
        // One that cannot be watched, such as a file, never makes anybody wait. A cancellation that
        // came before there was a waiter found none.
        if iorun_poller_once(poller, descriptor, key, Int32(events)) != 0 || Task.isCancelled {
          wake(key)
        }
      }
    } onCancel: {
      wake(key)
    }
  }

  /// Lets a waiter look again.
  func wake(_ key: UInt64) { state.withLock { $0.waiters.removeValue(forKey: key) }?.resume() }

  private func run() -> Never {
    var ready = [iorun_ready](repeating: iorun_ready(), count: 64)
    while true {
      let count = iorun_poller_wait(poller, &ready, 64, -1)
      for index in 0..<max(0, Int(count)) { wake(ready[index].key) }
    }
  }
}
