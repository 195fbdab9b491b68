import Foundation
import IorunContent
import IorunContract
import IorunCore
import IorunCrypto
import TestSupport
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

  @Test("changed lists are refused as malformed, or name regular files within their folder")
  func fuzz() throws {
    let good = try ManifestCodec.encode(
      Manifest(entries: [file("a/b"), file("a/c", size: 300_000), file("d")]))
    var generator = SeededGenerator(seed: 20_261_129)
    var taken = 0
    for _ in 0..<3000 {
      var bytes = good
      for _ in 0..<Int.random(in: 0...2, using: &generator) {
        let index = Int.random(in: bytes.indices, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &generator)
        case 1: bytes[index] = Array("/.\"0{[".utf8)[Int.random(in: 0..<6, using: &generator)]
        case 2: bytes.remove(at: index)
        default: bytes.insert(UInt8.random(in: 32..<127, using: &generator), at: index)
        }
      }
      do {
        let files = try OutputListCodec.decode(bytes, rank: 3)
        taken += 1
        for file in files {
          let parts = file.path.split(separator: "/", omittingEmptySubsequences: false)
          #expect(!parts.contains("") && !parts.contains("..") && !parts.contains("."))
          #expect(file.rank == 3)
        }
      } catch {
        #expect((error as? IorunError)?.code == .malformed, "\(error)")
      }
    }
    #expect(taken > 500 && taken < 3000, "\(taken) taken")
  }
}
