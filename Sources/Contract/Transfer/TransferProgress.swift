public import IorunCore
internal import Synchronization

/// Told how far a transfer is: the bytes that are there, and the bytes that are needed. Called in
/// order, from any thread, after every chunk; must return quickly.
public typealias TransferProgress = @Sendable (_ done: Bytes, _ total: Bytes) -> Void

/// Adds up what has arrived and tells it, one chunk at a time.
final class TransferMeter: Sendable {
  private let total: Bytes
  private let done: Mutex<Bytes>
  private let progress: TransferProgress

  /// Starts at `done` and says so.
  init(done: Bytes, total: Bytes, progress: @escaping TransferProgress) {
    self.total = total
    self.done = Mutex(done)
    self.progress = progress
    progress(done, total)
  }

  func add(_ count: Int) {
    // The callback runs under the lock: otherwise a smaller sum could be told after a larger one.
    done.withLock { done in
      done = done + Bytes(UInt64(count))
      progress(done, total)
    }
  }
}
