import Foundation
import IorunContent
import IorunContract
import IorunCore
import IorunCrypto
import Testing

@Suite("Lists of outputs")
struct OutputListTests {
  private let endpoint = MemoryEndpoint()

  /// A rank's list at the other side, made without the codec so that it may be wrong.
  private func upload(_ entries: [Manifest.Entry], count: Int? = nil, rank: Int = 0)
    async throws -> RankOutputs
  {
    let bytes = try ManifestCodec.encode(Manifest(entries: entries))
    let content = try await ContentUploader(to: endpoint).upload(bytes)
    return RankOutputs(
      rank: rank, list: OutputList(count: count ?? entries.count, content: content))
  }

  private func file(_ path: String, size: Int = 3) -> Manifest.Entry {
    let content = Chunker.blob(of: [UInt8](repeating: 7, count: size))
    return Manifest.Entry(path: path, kind: .file(content: content, executable: false))
  }

  private func expectRefusal(_ outputs: RankOutputs) async {
    await #expect {
      _ = try await ContentDownloader(from: endpoint).files(of: [outputs])
    } throws: {
      ($0 as? IorunError)?.code == .malformed
    }
  }

  @Test("lists too long for a message come back whole, by rank and path")
  func long() async throws {
    let entries = (10_000..<20_000).map { file("out/\($0)") }
    let many = try await upload(entries, rank: 3)
    let few = try await upload([file("a"), file("b")], rank: 1)
    #expect(many.list.content.size > .mebi(1))
    #expect(try JSONEncoder().encode(many).count < 1000)
    let files = try await ContentDownloader(from: endpoint).files(of: [many, few])
    #expect(files.count == 10_002)
    #expect(files.prefix(3).map(\.path) == ["a", "b", "out/10000"])
    #expect(files.map(\.rank) == [1, 1] + Array(repeating: 3, count: 10_000))
  }

  @Test("what a glob finds is what the list says")
  func roundTrip() throws {
    let folder = FileManager.default.temporaryDirectory.path + "/iorun-\(UUID())"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.createDirectory(
      atPath: folder + "/out", withIntermediateDirectories: true)
    for name in ["out/b", "out/a", "c"] {
      try Data(name.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
    }
    chmod(folder + "/c", 0o755)
    let found = try OutputGlob(["**"]).find(below: folder)
    let files = try OutputListCodec.decode(OutputListCodec.encode(found.files), rank: 4)
    #expect(files.map(\.path) == ["c", "out/a", "out/b"])
    #expect(files.map(\.executable) == [true, false, false])
    #expect(files.map(\.content) == found.files.map(\.content))
    #expect(files.allSatisfy { $0.rank == 4 })
  }

  @Test(
    "paths that lead out, come twice or are out of order are refused",
    arguments: [["../a"], ["/a"], ["a", "a"], ["b", "a"], ["a", "a/b"]])
  func wrongPaths(_ paths: [String]) async throws {
    await expectRefusal(try await upload(paths.map { file($0) }))
  }

  @Test("a symbolic link, another number of files or another size is refused")
  func wrongEntries() async throws {
    let link = Manifest.Entry(path: "l", kind: .symbolicLink(target: "a"))
    await expectRefusal(try await upload([file("a"), link]))
    await expectRefusal(try await upload([file("a")], count: 2))
    let wrong = Blob(size: .gibi(1), chunks: [SHA256.digest(of: [1])])
    await expectRefusal(
      try await upload([.init(path: "a", kind: .file(content: wrong, executable: false))]))
  }

  @Test("a list larger than a manifest may be is refused before anything is fetched")
  func tooLarge() async {
    let content = Blob(size: .mebi(65), chunks: [])
    await expectRefusal(RankOutputs(rank: 0, list: OutputList(count: 1, content: content)))
    #expect(await endpoint.gets == 0)
  }
}
