import Foundation
import IorunContent
import IorunCore
import Testing

@Suite("Manifest builder")
struct ManifestBuilderTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func paths(ignoring: [String] = []) throws -> [String] {
    try ManifestBuilder.build(folder: folder.path, ignoring: ignoring).manifest.entries.map(\.path)
  }

  func refusal() -> IorunError? {
    #expect(throws: IorunError.self) { try ManifestBuilder.build(folder: folder.path) }
  }

  @Test("lists files sorted by the bytes of their paths")
  func sorted() throws {
    for name in ["b", "a/z", "a-b", "a/b/c", "Z"] { try folder.write("x", to: name) }
    #expect(try paths() == ["Z", "a-b", "a/b/c", "a/z", "b"])
  }

  @Test("keeps the executable bit")
  func executable() throws {
    try folder.write("#!/bin/sh", to: "run")
    #expect(chmod(folder.path + "/run", 0o755) == 0)
    let entry = try ManifestBuilder.build(folder: folder.path).manifest.entries[0]
    guard case .file(_, let executable) = entry.kind else {
      Issue.record("not a file")
      return
    }
    #expect(executable)
  }

  @Test("the source reads every chunk again")
  func source() throws {
    let bytes = pattern(2 * Blob.chunkSize + 77)
    try folder.write(bytes, to: "deep/data")
    let snapshot = try ManifestBuilder.build(folder: folder.path)
    #expect(try snapshot.source.digests.flatMap { try snapshot.source.read($0) } == bytes)
    #expect(snapshot.source.size == Bytes(UInt64(bytes.count)))
  }

  @Test("a file that changed after it was listed is not read as what it was")
  func changed() throws {
    try folder.write("before", to: "data")
    let snapshot = try ManifestBuilder.build(folder: folder.path)
    try folder.write("afterw", to: "data")
    let error = #expect(throws: IorunError.self) {
      try snapshot.source.read(snapshot.source.digests[0])
    }
    #expect(error?.code == .wrongState)
  }

  @Test("leaves out what never belongs to a job")
  func builtInIgnores() throws {
    for name in [
      ".git/HEAD", ".build/x", ".build-linux/x", "a/__pycache__/x.pyc", ".iorun/key", "keep.py",
    ] { try folder.write("x", to: name) }
    #expect(try paths() == ["keep.py"])
  }

  @Test("follows .iorunignore: names, paths, folders, classes, comments")
  func ignoreFile() throws {
    try folder.write(
      "# comment\n\n*.log\n/top.txt\ndata/\nsrc/*.o\n*.py[co]\nlogs/**/old\n", to: ".iorunignore")
    for name in [
      "a.log", "sub/b.log", "top.txt", "sub/top.txt", "data/x", "sub/data/y", "src/a.o",
      "sub/src/a.o", "m.pyc", "m.py", "logs/a/b/old", "logs/old", "file-data",
    ] { try folder.write("x", to: name) }
    #expect(try paths() == [".iorunignore", "file-data", "m.py", "sub/src/a.o", "sub/top.txt"])
  }

  @Test("a folder's rule does not touch a file of the same name")
  func folderRule() throws {
    try folder.write("x", to: "data")
    #expect(try paths(ignoring: ["data/"]) == ["data"])
    #expect(try paths(ignoring: ["data"]) == [])
  }

  @Test("a rule that brings files back is refused with its line")
  func negation() throws {
    try folder.write("*.log\n!keep.log\n", to: ".iorunignore")
    #expect(refusal()?.message.contains("line 2") == true)
  }

  @Test("a link inside is kept as a link", arguments: ["file", "./file", "sub/x", "nowhere"])
  func linkInside(target: String) throws {
    #expect(symlink(target, folder.path + "/link") == 0)
    let manifest = try ManifestBuilder.build(folder: folder.path).manifest
    #expect(manifest.entries == [.init(path: "link", kind: .symbolicLink(target: target))])
  }

  @Test("a link that leads out is refused", arguments: ["/etc/passwd", "..", "../x", "a/../../x"])
  func linkOutside(target: String) throws {
    #expect(symlink(target, folder.path + "/link") == 0)
    let error = refusal()
    #expect(error?.code == .specInvalid)
    #expect(error?.message.contains("leads out") == true)
  }

  @Test("a pipe is refused at once instead of being waited for")
  func pipe() throws {
    #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
    #expect(refusal()?.message.contains("a socket, a pipe or a device") == true)
    #expect(try paths(ignoring: ["pipe"]) == [])
  }

  @Test("a path that is too long is refused")
  func longPath() throws {
    let part = String(repeating: "n", count: 200)
    try folder.write("x", to: Array(repeating: part, count: 6).joined(separator: "/"))
    #expect(refusal()?.code == .specInvalid)
  }

  @Test("a missing folder says so")
  func missing() {
    let error = #expect(throws: IorunError.self) {
      try ManifestBuilder.build(folder: folder.path + "/none")
    }
    #expect(error?.code == .fileMissing)
  }
}
