import Foundation
import IorunContent
import IorunCore
import Testing

@Suite("Folder writer")
struct FolderWriterTests {
  let source: TemporaryFolder
  let target: TemporaryFolder
  var folder: String { target.path + "/work" }

  init() throws {
    source = try TemporaryFolder()
    target = try TemporaryFolder()
  }

  func entry(_ path: String, _ bytes: [UInt8]) -> Manifest.Entry {
    .init(path: path, kind: .file(content: Chunker.blob(of: bytes), executable: false))
  }

  @Test("a folder that was read is written again, with modes and links")
  func roundTrip() throws {
    try source.write(pattern(Blob.chunkSize * 2 + 3), to: "a/b/data")
    try source.write("run", to: "run.sh")
    try source.write("", to: "empty")
    #expect(chmod(source.path + "/run.sh", 0o700) == 0)
    #expect(symlink("a/b/data", source.path + "/latest") == 0)
    let snapshot = try ManifestBuilder.build(folder: source.path)
    try FolderWriter.write(snapshot.manifest, into: folder) { try snapshot.source.read($0) }
    #expect(try ManifestBuilder.build(folder: folder).manifest == snapshot.manifest)
    var status = stat()
    #expect(stat(folder + "/run.sh", &status) == 0)
    #expect(status.st_mode & 0o777 == 0o755)
    #expect(stat(folder + "/empty", &status) == 0)
    #expect(status.st_mode & 0o777 == 0o644)
  }

  @Test("never writes through a symbolic link in place of a folder")
  func linkedFolder() throws {
    try target.write("x", to: "outside/keep")
    try target.write("x", to: "work/keep")
    #expect(symlink(target.path + "/outside", folder + "/sub") == 0)
    #expect(throws: IorunError.self) {
      try FolderWriter.write(Manifest(entries: [entry("sub/evil", [1])]), into: folder) { _ in [1] }
    }
    #expect(!target.exists("outside/evil"))
  }

  @Test("replaces a symbolic link in place of a file instead of writing through it")
  func linkedFile() throws {
    try target.write("safe", to: "outside")
    try target.write("x", to: "work/keep")
    #expect(symlink(target.path + "/outside", folder + "/file") == 0)
    try FolderWriter.write(Manifest(entries: [entry("file", [1])]), into: folder) { _ in [1] }
    #expect(try target.text("outside") == "safe")
    #expect(try target.read("work/file") == [1])
  }

  @Test("refuses a chunk that is not what its digest says, and leaves no file")
  func wrongChunk() throws {
    let error = #expect(throws: IorunError.self) {
      try FolderWriter.write(Manifest(entries: [entry("file", [1])]), into: folder) { _ in [2] }
    }
    #expect(error?.code == .malformed)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
  }

  @Test("refuses a chunk whose length does not fit the file")
  func wrongLength() throws {
    var manifest = Manifest(entries: [entry("file", [1, 2])])
    manifest.entries[0].kind = .file(
      content: Blob(size: Bytes(1), chunks: Chunker.blob(of: [1, 2]).chunks), executable: false)
    #expect(throws: IorunError.self) {
      try FolderWriter.write(manifest, into: folder) { _ in [1, 2] }
    }
  }

  @Test("refuses a hostile manifest before it writes anything")
  func hostile() {
    #expect(throws: IorunError.self) {
      try FolderWriter.write(
        Manifest(entries: [entry("a", [1]), entry("b/../../evil", [1])]), into: folder
      ) { _ in [1] }
    }
    #expect(!target.exists("work"))
    #expect(!target.exists("evil"))
  }
}
