internal import Foundation
internal import IorunContract
internal import IorunCore
internal import Synchronization

/// Every rank's log on the head's disk: `logs/<job>/attempt-N/rank-M.log`, appended by offset so that
/// the same bytes sent twice are kept once.
final class LogArchive: Sendable {
  /// One attempt's rank.
  struct Part: Hashable, Comparable, Sendable {
    var attempt: Int
    var rank: Int

    static func < (left: Part, right: Part) -> Bool {
      (left.attempt, left.rank) < (right.attempt, right.rank)
    }
  }

  private let folder: String
  private let limit: Int64
  /// The lengths of the logs of jobs that were touched since the start, and the order of touching.
  private let known = Mutex<(lengths: [JobID: [Part: Int64]], order: [JobID])>(([:], []))
  /// Appends to one rank come one at a time from its node, but a repeat may overtake.
  private let writing = Mutex<Void>(())

  private static let rememberedJobs = 1000
  /// The most bytes of one batch.
  static let batchSize = 256 * 1024

  /// Opens the archive in `folder`, which is made where it is missing. Keeps at most `limit` bytes
  /// of one rank's log.
  init(folder: String, limit: Int64) throws {
    self.folder = folder
    self.limit = limit
    try Self.makeFolder(folder)
  }

  /// Adds bytes at `offset` and returns the length from which the node goes on. Bytes that are here
  /// already are ignored; a gap is refused by returning the present length. A full log takes in and
  /// drops the rest.
  func append(_ bytes: Data, at offset: Int64, to lease: LeaseID) async throws -> Int64 {
    try await Blocking.run { [self] in
      try writing.withLock { _ in try appendNow(bytes, at: offset, to: lease) }
    }
  }

  /// The lengths of all logs of a job.
  func lengths(of job: JobID) async throws -> [Part: Int64] {
    try await Blocking.run { [self] in lengthsNow(of: job) }
  }

  /// Bytes after `cursors`, at most `batchSize` together, split fairly over the ranks that have some.
  /// `rank` limits it to one rank. Returns the position to go on from for every log there is.
  func read(
    _ job: JobID, rank: Int?, after cursors: [LogCursor]
  ) async throws -> (chunks: [LogChunk], cursors: [LogCursor], hasMore: Bool) {
    try await Blocking.run { [self] in
      let lengths = lengthsNow(of: job).filter { rank == nil || $0.key.rank == rank }
      var positions: [Part: Int64] = lengths.mapValues { _ in 0 }
      for cursor in cursors {
        let part = Part(attempt: cursor.attempt, rank: cursor.rank)
        if let length = lengths[part] { positions[part] = min(max(0, cursor.offset), length) }
      }
      let waiting = lengths.mapValues(Int.init).merging(positions.mapValues(Int.init)) { $0 - $1 }
      let shares = LogShare.split(Self.batchSize, over: waiting)
      var chunks: [LogChunk] = []
      for (part, count) in shares.sorted(by: { $0.key < $1.key }) where count > 0 {
        let start = positions[part, default: 0]
        let bytes = try OpenFile(path(job, part), O_RDONLY).read(upTo: count, at: UInt64(start))
        guard !bytes.isEmpty else { continue }
        let cursor = LogCursor(attempt: part.attempt, rank: part.rank, offset: start)
        chunks.append(LogChunk(cursor: cursor, bytes: Data(bytes)))
        positions[part] = start + Int64(bytes.count)
      }
      let next = positions.sorted { $0.key < $1.key }.map {
        LogCursor(attempt: $0.key.attempt, rank: $0.key.rank, offset: $0.value)
      }
      return (chunks, next, lengths.contains { positions[$0.key, default: 0] < $0.value })
    }
  }

  private func appendNow(_ bytes: Data, at offset: Int64, to lease: LeaseID) throws -> Int64 {
    let part = Part(attempt: lease.attempt, rank: lease.rank)
    let length = lengthsNow(of: lease.job)[part, default: 0]
    guard offset >= 0 else { return length }
    let (end, overflow) = offset.addingReportingOverflow(Int64(bytes.count))
    if overflow { return length }
    if length >= limit { return max(length, end) }
    guard offset <= length, end > length else { return length }
    let fresh = bytes.dropFirst(Int(length - offset)).prefix(Int(limit - length))
    try Self.makeFolder("\(folder)/\(lease.job)")
    try Self.makeFolder("\(folder)/\(lease.job)/attempt-\(part.attempt)")
    // Not O_APPEND: after a write that a full disk cut short, the known length is what counts.
    let file = try OpenFile(path(lease.job, part), O_WRONLY | O_CREAT, mode: 0o600)
    guard lseek(file.descriptor, off_t(length), SEEK_SET) >= 0 else {
      throw IorunError.system("cannot write", file.path, errno: errno)
    }
    try fresh.withUnsafeBytes { try file.write($0) }
    let grown = length + Int64(fresh.count)
    known.withLock { $0.lengths[lease.job, default: [:]][part] = grown }
    return grown == limit ? end : grown
  }

  private func lengthsNow(of job: JobID) -> [Part: Int64] {
    if let lengths = known.withLock({ $0.lengths[job] }) { return lengths }
    var found: [Part: Int64] = [:]
    let root = "\(folder)/\(job)"
    for attemptName in Self.names(in: root) {
      guard attemptName.hasPrefix("attempt-"), let attempt = Int(attemptName.dropFirst(8)) else {
        continue
      }
      for name in Self.names(in: "\(root)/\(attemptName)") {
        guard name.hasPrefix("rank-"), name.hasSuffix(".log"),
          let rank = Int(name.dropFirst(5).dropLast(4))
        else { continue }
        var status = stat()
        let part = Part(attempt: attempt, rank: rank)
        if stat(path(job, part), &status) == 0 { found[part] = Int64(status.st_size) }
      }
    }
    return known.withLock { known in
      if let lengths = known.lengths[job] { return lengths }
      known.lengths[job] = found
      known.order.append(job)
      if known.order.count > Self.rememberedJobs {
        known.lengths[known.order.removeFirst()] = nil
      }
      return found
    }
  }

  private func path(_ job: JobID, _ part: Part) -> String {
    "\(folder)/\(job)/attempt-\(part.attempt)/rank-\(part.rank).log"
  }

  private static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private static func makeFolder(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
      throw IorunError.system("cannot make the folder", path, errno: errno)
    }
  }
}
