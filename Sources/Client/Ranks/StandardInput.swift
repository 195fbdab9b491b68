internal import Foundation
internal import Synchronization

/// This process's standard input for tasks: one thread reads it and waits while nobody takes what it
/// read. The descriptor stays as it is, because others may share it: a shell would find its terminal
/// non-blocking.
public final class StandardInput: Sendable {
  private static let piece = 32 << 10

  private struct State {
    var part: [UInt8]?
    var isOver = false
    var reader: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())
  private let taken = DispatchSemaphore(value: 0)

  /// Begins to read.
  public init() {
    // Not its first value: a semaphore traps that ends below that.
    taken.signal()
    let thread = Thread { [self] in run() }
    thread.name = "iorun-stdin"
    thread.start()
  }

  /// The next bytes; `nil` at the end, or where the task is cancelled.
  public func next() async -> [UInt8]? {
    while !Task.isCancelled {
      let (part, isOver) = state.withLock { state in
        defer { state.part = nil }
        return (state.part, state.isOver)
      }
      if let part {
        taken.signal()
        return part
      }
      if isOver { return nil }
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let isDue = state.withLock { state in
            if state.part != nil || state.isOver || Task.isCancelled { return true }
            state.reader = continuation
            return false
          }
          if isDue { continuation.resume() }
        }
      } onCancel: {
        wake()
      }
    }
    return nil
  }

  private func wake() {
    let reader = state.withLock { state in
      defer { state.reader = nil }
      return state.reader
    }
    reader?.resume()
  }

  private func run() {
    while true {
      taken.wait()
      var reason: Int32 = 0
      let part = [UInt8](unsafeUninitializedCapacity: Self.piece) { buffer, count in
        let done = read(STDIN_FILENO, buffer.baseAddress, Self.piece)
        if done < 0 { reason = errno }
        count = max(0, done)
      }
      if reason == EINTR || reason == EAGAIN {
        // Somebody else made it non-blocking.
        if reason == EAGAIN { usleep(5000) }
        taken.signal()
        continue
      }
      state.withLock { state in
        if part.isEmpty { state.isOver = true } else { state.part = part }
      }
      wake()
      if part.isEmpty { return }
    }
  }
}
