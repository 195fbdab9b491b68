import Foundation
import GRDB
import IorunContent
import IorunContract
import IorunCore
import IorunCrypto
import Testing

@testable import IorunHead

@Suite("Store")
struct StoreTests {
  private func with(_ body: (String) async throws -> Void) async throws {
    let folder = NSTemporaryDirectory() + "iorun-store-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder)
  }

  @Test("its files are for their owner only, and every commit reaches the disk")
  func settings() async throws {
    try await with { folder in
      let store = try await Store.open(in: folder)
      _ = try await store.networkID { "net" }
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
        let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)
        #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
      }
      let attributes = try FileManager.default.attributesOfItem(atPath: folder)
      #expect(attributes[.posixPermissions] as? Int == 0o700)
      let (level, mode) = try await store.write { db in
        (
          try Int.fetchOne(db, sql: "PRAGMA synchronous"),
          try String.fetchOne(db, sql: "PRAGMA journal_mode")
        )
      }
      #expect(level == 2 && mode == "wal")
      try await store.close()
    }
  }

  @Test("a damaged database is refused with what to do")
  func damaged() async throws {
    try await with { folder in
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try Data(repeating: 7, count: 8192).write(to: URL(filePath: folder + "/head.sqlite"))
      await expect(throwsCode: .identityUnusable) { try await Store.open(in: folder) }
    }
  }

  @Test("of jobs that are over it tells how long they ran, the newest first, and of no other jobs")
  func lengths() async throws {
    try await with { folder in
      let store = try await Store.open(in: folder)
      var number = 0
      func keep(_ state: JobState, _ start: Double?, _ end: Double?, _ ending: JobEnding? = nil)
        async throws
      {
        number += 1
        var job = JobRecord(
          id: try #require(JobID("job-aaaaaaa\(number)")), submissionID: "\(number)",
          owner: .sample(1), spec: .sample(), workingFolder: nil, submittedAt: Double(number))
        _ = try await store.accept(job)
        (job.state, job.startedAt, job.endedAt, job.ending) = (state, start, end, ending)
        let change = Store.JobChange(job: job, ranks: [], outputs: [], events: [])
        _ = try await store.commit([change], epoch: 1)
      }
      try await keep(.succeeded, 100, 101)
      try await keep(.failed, 100, 102, .timedOut)
      try await keep(.cancelled, 100, 104, .cancelled)
      // Its attempt had failed long before it was cancelled in the queue.
      try await keep(.cancelled, 100, 108, .failed(rank: 0))
      try await keep(.cancelled, nil, 116)
      try await keep(.running, 100, nil)
      #expect(try await store.lengths(ofLast: 10) == [4, 2, 1])
      #expect(try await store.lengths(ofLast: 2) == [4, 2])
      try await store.close()
    }
  }

  @Test("outputs are read in pages that are bounded, and every rank comes")
  func outputPages() async throws {
    try await with { folder in
      let store = try await Store.open(in: folder)
      let job = JobRecord(
        id: JobID("job-aaaaaaaa")!, submissionID: "1", owner: .sample(1), spec: .sample(),
        workingFolder: nil, submittedAt: 1)
      _ = try await store.accept(job)
      // Ten digests each: two lists and their entries fit into 25, none into 5.
      let digests = (0..<10).map { SHA256.digest(of: [UInt8($0)]) }
      let list = OutputList(
        count: 7, content: Blob(size: Bytes(UInt64(10 * Blob.chunkSize)), chunks: digests))
      let outputs = (0..<5).map { rank in
        LeaseOutputs(lease: LeaseID(job: job.id, attempt: 1, rank: rank), list: list)
      }
      let other = LeaseOutputs(lease: LeaseID(job: job.id, attempt: 2, rank: 9), list: list)
      let change = Store.JobChange(job: job, ranks: [], outputs: outputs + [other], events: [])
      _ = try await store.commit([change], epoch: 1)
      func ranks(after rank: Int, _ mostChunks: Int) async throws -> [Int] {
        let found = try await store.outputs(
          of: job.id, attempt: 1, after: rank, mostChunks: mostChunks)
        #expect(found.allSatisfy { $0.list == list })
        return found.map(\.rank)
      }
      #expect(try await ranks(after: -1, 25) == [0, 1])
      #expect(try await ranks(after: 1, 25) == [2, 3])
      #expect(try await ranks(after: 3, 25) == [4])
      #expect(try await ranks(after: 4, 25).isEmpty)
      #expect(try await ranks(after: -1, 5) == [0])
      try await store.close()
    }
  }

  @Test("old events of jobs that are over are dropped, others stay")
  func pruning() async throws {
    try await with { folder in
      let store = try await Store.open(in: folder)
      var over = JobRecord(
        id: JobID("job-aaaaaaaa")!, submissionID: "1", owner: .sample(1), spec: .sample(),
        workingFolder: nil, submittedAt: 1)
      let live = JobRecord(
        id: JobID("job-bbbbbbbb")!, submissionID: "2", owner: .sample(1), spec: .sample(),
        workingFolder: nil, submittedAt: 2)
      _ = try await store.accept(over)
      _ = try await store.accept(live)
      over.state = .failed
      over.lostNodes = [.sample(3)]
      over.ending = .failed(rank: 1)
      let event = JobEvent(kind: .failed, detail: "x", time: 3)
      _ = try await store.commit(
        [Store.JobChange(job: over, ranks: [], outputs: [], events: [event])], epoch: 9)
      try await store.pruneEvents(keeping: 1)
      #expect(try await store.events(of: over.id) == [event])
      #expect(try await store.events(of: live.id).map(\.kind) == [.submitted])
      #expect(try await store.epoch() == 9)
      let (read, _) = try #require(try await store.job(over.id))
      over.revision = 3
      #expect(read == over)
      try await store.close()
    }
  }
}
