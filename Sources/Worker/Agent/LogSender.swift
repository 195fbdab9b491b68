import IorunContract
import IorunCore

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
    // Growth is signalled after it happened, so a look after each signal misses nothing.
    for await _ in log.growth {
      while sent < log.length {
        let offset = sent
        let bytes = try await Blocking.run { [log] in
          try log.read(from: offset, atMost: Self.chunkSize)
        }
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
