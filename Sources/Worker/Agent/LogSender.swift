import IorunContract
import IorunCore
import IorunSandbox

/// Sends one rank's log to the head, byte by byte in order, for as long as it takes.
struct LogSender: Sendable {
  /// The lease whose log it is.
  let lease: LeaseID
  /// The epoch of its grant.
  let epoch: Int64
  /// What the rank prints.
  let log: RankLog
  /// Where it goes.
  let head: any HeadLink
  /// How often to try.
  let retry: Retry

  /// The most that one call carries.
  static let chunkSize = 128 * 1024

  /// Returns when the log is finished and the head has all of it. Throws `CancellationError`, or
  /// `fileSystem` where the log cannot be read.
  func run() async throws {
    var sent: Int64 = 0
    var mark = LogMark(lease: lease, epoch: epoch)
    var isMarked = false
    // Growth is signalled after it happened, so a look after each signal misses nothing.
    for await _ in log.growth {
      while sent < log.length {
        let offset = sent
        // It only spares the next agent some bytes: one that lags behind is as good.
        let isNews = !isMarked || mark.sent < offset
        (mark.sent, isMarked) = (max(mark.sent, offset), true)
        let bytes = try await Blocking.run { [log, mark] in
          if isNews { try? mark.write(beside: log.file) }
          return try log.read(from: offset, atMost: Self.chunkSize)
        }
        CrashPoint.pass(.logRead)
        let length = try await retry {
          try await head.appendLog(lease, epoch: epoch, offset: offset, bytes: bytes)
        }
        // A head that lost its last bytes asks for them again; one that claims more than there is
        // must not make us skip.
        sent = min(max(0, length), log.length)
        if sent == offset { try await retry.clock.sleep(for: retry.pauses.lowerBound) }
      }
    }
    try Task.checkCancellation()
  }
}
