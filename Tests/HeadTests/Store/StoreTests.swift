import Foundation
import GRDB
import IorunContract
import IorunCore
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
