import Foundation
import IorunContent
import IorunContract
import IorunCore
import Synchronization
import Testing

@Suite("Transfers")
final class TransferTests {
  let root: String
  let endpoint = MemoryEndpoint()
  var source: String { root + "/source" }
  var target: String { root + "/target" }

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/iorun-\(UUID())"
    try FileManager.default.createDirectory(
      atPath: root + "/source/sub", withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func write(_ byte: UInt8, chunks: Int, to name: String) throws {
    var bytes = Data()
    for index in 0..<chunks {
      bytes += Data(repeating: byte &+ UInt8(index), count: Blob.chunkSize)
    }
    try bytes.write(to: URL(fileURLWithPath: source + "/" + name))
  }

  func snapshot() throws -> FolderSnapshot { try ManifestBuilder.build(folder: source) }

  @Test("a folder goes over and comes back the same")
  func roundTrip() async throws {
    try write(1, chunks: 20, to: "data")
    try write(100, chunks: 1, to: "sub/more")
    let blob = try await ContentUploader(to: endpoint).upload(snapshot())
    try await ContentDownloader(from: endpoint).download(folder: blob, into: target)
    #expect(try ManifestBuilder.build(folder: target).manifest == snapshot().manifest)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: root).sorted() == ["source", "target"])
    #expect(await endpoint.mostInFlight > 1)
    #expect(await endpoint.mostInFlight <= 8)
  }

  @Test("only what the other side lacks is sent")
  func onlyMissing() async throws {
    try write(1, chunks: 4, to: "data")
    _ = try await ContentUploader(to: endpoint).upload(snapshot())
    let before = await endpoint.puts
    try write(50, chunks: 1, to: "new")
    _ = try await ContentUploader(to: endpoint).upload(snapshot())
    // The new chunk and the new manifest.
    #expect(await endpoint.puts == before + 2)
  }

  @Test("only what the cache lacks is fetched")
  func cache() async throws {
    try write(1, chunks: 4, to: "data")
    let blob = try await ContentUploader(to: endpoint).upload(snapshot())
    let cache = try ChunkStore(folder: root + "/cache", isDurable: false)
    let downloader = ContentDownloader(from: endpoint, cache: cache)
    try await downloader.download(folder: blob, into: target)
    let before = await endpoint.gets
    try await downloader.download(folder: blob, into: target + "2")
    #expect(await endpoint.gets == before + 1)
    #expect(try ManifestBuilder.build(folder: target + "2").manifest == snapshot().manifest)
  }

  @Test("a chunk that is damaged in the cache is fetched again")
  func damagedCache() async throws {
    try write(1, chunks: 2, to: "data")
    let blob = try await ContentUploader(to: endpoint).upload(snapshot())
    let cache = try ChunkStore(folder: root + "/cache", isDurable: false)
    let digest = try snapshot().source.digests[0]
    try cache.put(snapshot().source.read(digest))
    let file = root + "/cache/\(digest.description.prefix(2))/\(digest)"
    try Data([1]).write(to: URL(fileURLWithPath: file))
    try await ContentDownloader(from: endpoint, cache: cache).download(folder: blob, into: target)
    #expect(try ManifestBuilder.build(folder: target).manifest == snapshot().manifest)
  }

  @Test("digests are asked about 4,096 at a time")
  func batches() async throws {
    let digests = 4100
    let bytes = (0..<digests).map { index in
      withUnsafeBytes(of: UInt64(index)) { Data($0) }
    }
    for (index, data) in bytes.enumerated() {
      try data.write(to: URL(fileURLWithPath: "\(source)/\(index)"))
    }
    try await ContentUploader(to: endpoint).upload(snapshot().source)
    #expect(await endpoint.questions == [4096, 4])
    #expect(await endpoint.chunks.count == digests)
  }

  @Test("progress never runs backwards and ends at the total")
  func progress() async throws {
    try write(1, chunks: 12, to: "data")
    let told = Mutex<[(Bytes, Bytes)]>([])
    let blob = try await ContentUploader(to: endpoint).upload(snapshot()) { done, total in
      told.withLock { $0.append((done, total)) }
    }
    _ = blob
    let steps = told.withLock { $0 }
    #expect(steps.count == 13)
    #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.0 < $1.0 })
    #expect(steps.last.map { $0.0 == $0.1 && $0.1 == Bytes(UInt64(12 * Blob.chunkSize)) } == true)
  }

  @Test("bytes that are not what was asked for are refused and not written")
  func damaged() async throws {
    try write(1, chunks: 3, to: "data")
    let blob = try await ContentUploader(to: endpoint).upload(snapshot())
    try await endpoint.damage(snapshot().source.digests[1])
    let error = await #expect(throws: IorunError.self) {
      try await ContentDownloader(from: self.endpoint).download(folder: blob, into: self.target)
    }
    #expect(error?.code == .malformed)
    #expect(try FileManager.default.contentsOfDirectory(atPath: root) == ["source"])
  }

  @Test("a chunk that the other side lost is not found, without end")
  func lost() async throws {
    try write(1, chunks: 3, to: "data")
    let blob = try await ContentUploader(to: endpoint).upload(snapshot())
    try await endpoint.remove(snapshot().source.digests[1])
    let cache = try ChunkStore(folder: root + "/cache", isDurable: false)
    let error = await #expect(throws: IorunError.self) {
      try await ContentDownloader(from: self.endpoint, cache: cache).download(
        folder: blob, into: self.target)
    }
    #expect(error?.code == .notFound)
  }

  @Test("an encoded manifest that claims to be huge is refused before anything is fetched")
  func hugeManifest() async throws {
    let size = ContentLimits.manifestSize + Bytes(1)
    let chunks = Array(
      repeating: Chunker.blob(of: [1]).chunks[0], count: Int(Blob.chunkCount(of: size)))
    await #expect(throws: IorunError.self) {
      try await ContentDownloader(from: self.endpoint).download(
        folder: Blob(size: size, chunks: chunks), into: self.target)
    }
    #expect(await endpoint.gets == 0)
  }
}
