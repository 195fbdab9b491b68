import Foundation
import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("LogArchive")
struct LogArchiveTests {
  private let lease = LeaseID(job: .sample, attempt: 1, rank: 0)

  private func with(limit: Int64 = 1000, _ body: (String, LogArchive) async throws -> Void)
    async throws
  {
    let folder = NSTemporaryDirectory() + "iorun-logs-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder, LogArchive(folder: folder, limit: limit))
  }

  private func text(_ archive: LogArchive) async throws -> String {
    let batch = try await archive.read(lease.job, rank: nil, after: [])
    return String(decoding: batch.chunks.flatMap(\.bytes), as: UTF8.self)
  }

  @Test("bytes sent twice are kept once, and overlaps are joined")
  func idempotent() async throws {
    try await with { (_, archive) async throws in
      #expect(try await archive.append(Data("hello ".utf8), at: 0, to: lease) == 6)
      #expect(try await archive.append(Data("hello ".utf8), at: 0, to: lease) == 6)
      #expect(try await archive.append(Data("lo world".utf8), at: 3, to: lease) == 11)
      #expect(try await text(archive) == "hello world")
    }
  }

  @Test("a gap is refused by naming the length that is here")
  func gap() async throws {
    try await with { (_, archive) async throws in
      _ = try await archive.append(Data("abc".utf8), at: 0, to: lease)
      #expect(try await archive.append(Data("xyz".utf8), at: 5, to: lease) == 3)
      #expect(try await text(archive) == "abc")
    }
  }

  @Test("a full log keeps its beginning and takes no more, so that its node can go on")
  func full() async throws {
    try await with(limit: 4) { (folder, archive) async throws in
      #expect(try await archive.append(Data("abcdef".utf8), at: 0, to: lease) == 6)
      #expect(try await archive.append(Data("ghi".utf8), at: 6, to: lease) == 9)
      #expect(try await text(archive) == "abcd")
      let again = try LogArchive(folder: folder, limit: 4)
      #expect(try await again.append(Data("jkl".utf8), at: 9, to: lease) == 12)
      #expect(try await text(again) == "abcd")
    }
  }

  @Test("the line with which a node ends a full log is kept")
  func lastLine() async throws {
    try await with(limit: HeadOptions().logLimit) { (folder, archive) async throws in
      _ = try await archive.append(Data("a".utf8), at: 0, to: lease)
      let cap: Int64 = 64 << 20
      #expect(truncate("\(folder)/\(lease.job)/attempt-1/rank-0.log", off_t(cap)) == 0)
      let again = try LogArchive(folder: folder, limit: HeadOptions().logLimit)
      let line = Data("[iorun] the log was cut here at 64 MiB\n".utf8)
      _ = try await again.append(line, at: cap, to: lease)
      let cursor = LogCursor(attempt: 1, rank: 0, offset: cap)
      let batch = try await again.read(lease.job, rank: nil, after: [cursor])
      #expect(batch.chunks.map(\.bytes) == [line])
    }
  }

  @Test("a head that restarted knows how long every log is")
  func restart() async throws {
    try await with { (folder, archive) async throws in
      _ = try await archive.append(Data("abc".utf8), at: 0, to: lease)
      let again = try LogArchive(folder: folder, limit: 1000)
      #expect(try await again.append(Data("abcdef".utf8), at: 0, to: lease) == 6)
      #expect(try await text(again) == "abcdef")
    }
  }

  @Test("a reader goes on where it stopped, and a loud rank does not silence the others")
  func fairness() async throws {
    try await with(limit: 1 << 30) { (_, archive) async throws in
      let quiet = LeaseID(job: lease.job, attempt: 1, rank: 1)
      let loud = Data(repeating: 65, count: 2 * LogArchive.batchSize)
      _ = try await archive.append(loud, at: 0, to: lease)
      _ = try await archive.append(Data("hi".utf8), at: 0, to: quiet)
      let first = try await archive.read(lease.job, rank: nil, after: [])
      #expect(first.chunks.map(\.bytes.count) == [LogArchive.batchSize - 2, 2])
      #expect(first.hasMore)
      let second = try await archive.read(lease.job, rank: nil, after: first.cursors)
      #expect(second.chunks.map(\.cursor.offset) == [Int64(LogArchive.batchSize - 2)])
      let third = try await archive.read(lease.job, rank: nil, after: second.cursors)
      #expect(third.chunks.map(\.bytes.count) == [2] && !third.hasMore)
    }
  }

  @Test("logs follow a running job and are complete once it is over and read")
  func service() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1)).id, .running)
      let lease = rig.lease(job, 0)
      try await rig.runs(job, 0)
      let epoch = try #require(await rig.nodes[0].grant(of: lease)?.epoch)
      async let followed = rig.jobs.logs(
        job.id, rank: 0, cursors: [], waitMilliseconds: 20_000, caller: rig.buyer)
      _ = try await rig.services.nodes.appendLog(
        lease, epoch: epoch, offset: 0, bytes: Data("out".utf8), caller: rig.nodes[0].id)
      let batch = try await followed
      #expect(batch.chunks.map(\.bytes) == [Data("out".utf8)] && !batch.isComplete)
      try await rig.end(job, 0, .exited(status: 0))
      try await rig.wait(for: job.id, .succeeded)
      let last = try await rig.jobs.logs(
        job.id, rank: nil, cursors: batch.cursors, waitMilliseconds: 0, caller: rig.buyer)
      #expect(last.chunks.isEmpty && last.isComplete)
      await expect(throwsCode: .notAllowed) {
        try await rig.services.nodes.appendLog(
          lease, epoch: epoch, offset: 3, bytes: Data("x".utf8), caller: rig.operatorID)
      }
    }
  }
}
