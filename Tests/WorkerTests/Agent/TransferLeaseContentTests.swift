import Foundation
import IorunContent
import IorunContract
import IorunCore
import IorunCrypto
import Synchronization
import Testing

@testable import IorunWorker

/// The other side's chunks, in memory.
final class MemoryEndpoint: ContentEndpoint {
  private let chunks = Mutex<[Digest: Data]>([:])
  private let puts = Mutex(0)

  var putCount: Int { puts.withLock { $0 } }

  func missing(of digests: [Digest]) -> [Digest] {
    chunks.withLock { chunks in digests.filter { chunks[$0] == nil } }
  }

  func put(_ chunk: Data) -> Digest {
    let digest = SHA256.digest(of: [UInt8](chunk))
    chunks.withLock { $0[digest] = chunk }
    puts.withLock { $0 += 1 }
    return digest
  }

  func forget(_ digests: Set<Digest>) {
    chunks.withLock { chunks in for digest in digests { chunks[digest] = nil } }
  }

  func get(_ digest: Digest) throws -> Data {
    guard let chunk = chunks.withLock({ $0[digest] }) else {
      throw IorunError(.notFound, "no chunk \(digest)")
    }
    return chunk
  }
}

@Suite("Content of leases")
struct TransferLeaseContentTests {
  private let endpoint = MemoryEndpoint()
  private let folder: TemporaryFolder
  private var content: TransferLeaseContent { TransferLeaseContent(endpoint: endpoint) }

  init() throws { folder = try TemporaryFolder() }

  @Test("a folder that a client uploaded is staged as it was, programs executable")
  func stage() async throws {
    try folder.write("#!/bin/sh\n", to: "from/bin/train")
    chmod(folder.path + "/from/bin/train", 0o755)
    try folder.write(String(repeating: "data", count: 200_000), to: "from/data/set")
    let snapshot = try ManifestBuilder.build(folder: folder.path + "/from")
    let blob = try await ContentUploader(to: endpoint).upload(snapshot)
    try FileManager.default.createDirectory(
      atPath: folder.path + "/to", withIntermediateDirectories: false)
    try await content.stage(blob, into: folder.path + "/to")
    #expect(folder.read("to/data/set") == folder.read("from/data/set"))
    #expect(FileManager.default.isExecutableFile(atPath: folder.path + "/to/bin/train"))
  }

  @Test("outputs are uploaded once and can be read from the other side")
  func collect() async throws {
    try folder.write("weights", to: "work/model.bin")
    try folder.write("noise", to: "work/other")
    let list = try #require(
      try await content.collect(["*.bin"], from: folder.path + "/work"))
    #expect(list.count == 1)
    let outputs = try await ContentDownloader(from: endpoint).files(
      of: [RankOutputs(rank: 2, list: list)])
    #expect(outputs.map(\.path) == ["model.bin"] && outputs[0].rank == 2)
    #expect(try endpoint.get(outputs[0].content.chunks[0]) == Data("weights".utf8))
    _ = try await content.collect(["*.bin"], from: folder.path + "/work")
    // The file and the list.
    #expect(endpoint.putCount == 2)
  }

  @Test("a rank that left nothing has no list")
  func collectNothing() async throws {
    try folder.write("noise", to: "work/other")
    #expect(try await content.collect(["*.bin"], from: folder.path + "/work") == nil)
    #expect(endpoint.putCount == 0)
  }

  @Test("ranks of one node fetch a folder once")
  func cache() async throws {
    try folder.write("data", to: "from/set")
    let snapshot = try ManifestBuilder.build(folder: folder.path + "/from")
    let blob = try await ContentUploader(to: endpoint).upload(snapshot)
    let cache = try ChunkStore(folder: folder.path + "/chunks", isDurable: false)
    let content = TransferLeaseContent(endpoint: endpoint, cache: cache)
    for name in ["one", "two"] {
      let target = folder.path + "/" + name
      try FileManager.default.createDirectory(
        atPath: target, withIntermediateDirectories: false)
      try await content.stage(blob, into: target)
      // From here on only the manifest can be had from the other side.
      endpoint.forget(snapshot.manifest.chunks)
    }
    #expect(folder.read("two/set") == "data")
  }

  @Test("a folder whose chunks the other side lacks cannot be staged")
  func lacking() async throws {
    let blob = Chunker.blob(of: Array("not uploaded".utf8))
    await #expect { try await content.stage(blob, into: folder.path) } throws: {
      ($0 as? IorunError)?.code == .notFound
    }
  }
}
