public import Foundation

/// Where a reader stands in one rank's log.
public struct LogCursor: Hashable, Codable, Sendable {
  /// The attempt, from 1.
  public var attempt: Int
  /// The rank, from 0.
  public var rank: Int
  /// The bytes already read.
  public var offset: Int64

  /// Describes a position.
  public init(attempt: Int, rank: Int, offset: Int64) {
    self.attempt = attempt
    self.rank = rank
    self.offset = offset
  }
}

/// Bytes of one rank's log, from a given position.
public struct LogChunk: Hashable, Codable, Sendable {
  /// Where `bytes` starts.
  public var cursor: LogCursor
  /// What the rank printed, both streams in the order in which its agent read them.
  public var bytes: Data

  /// Describes a piece of a log.
  public init(cursor: LogCursor, bytes: Data) {
    self.cursor = cursor
    self.bytes = bytes
  }
}

/// New log bytes of a job, and where the job stands.
public struct LogBatch: Hashable, Codable, Sendable {
  /// New bytes, at most 256 KiB together; empty where nothing came within the wait.
  public var chunks: [LogChunk]
  /// Where to read on: pass these cursors next time.
  public var cursors: [LogCursor]
  /// True when the job is over and every byte has been read.
  public var isComplete: Bool

  /// Describes a batch.
  public init(chunks: [LogChunk], cursors: [LogCursor], isComplete: Bool) {
    self.chunks = chunks
    self.cursors = cursors
    self.isComplete = isComplete
  }
}
