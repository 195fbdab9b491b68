import Foundation
import IorunContent
import IorunCore
import IorunCrypto
import TestSupport
import Testing

@testable import IorunContract

/// Two folders, removed with this object.
private final class Folders: Sendable {
  let source: String
  let sink: String
  private let root: String

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/iorun-copy-\(UUID())"
    (source, sink) = (root + "/source", root + "/sink")
    for folder in [source, sink] {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func write(_ bytes: [UInt8], _ path: String, mode: Int = 0o644) throws {
    let whole = source + "/" + path
    try FileManager.default.createDirectory(
      atPath: (whole as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: whole))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: whole)
  }

  func read(_ path: String) -> [UInt8]? {
    FileManager.default.contents(atPath: sink + "/" + path).map { [UInt8]($0) }
  }

  func mode(_ path: String) -> Int? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: sink + "/" + path)
    return (attributes?[.posixPermissions] as? NSNumber)?.intValue
  }

  /// Copies, and returns what the source and the sink say of it.
  func copy(
    _ path: String = "", to target: String = "", givesAway: Bool = false, cutAfter: Int? = nil
  ) async throws -> (source: CopyReport, sink: CopyReport) {
    let (there, here) = PipeStream.pair(cutAfter: cutAfter)
    async let sent = send(path, over: there)
    do {
      let taken = try await CopySink(root: sink, target: target, givesAway: givesAway)
        .run(over: here)
      return (try await sent, taken)
    } catch {
      here.reset(IorunError(.cancelled, "the sink gave up"))
      _ = try? await sent
      throw error
    }
  }

  /// A source that fails ends its stream, as those who serve copies do.
  private func send(_ path: String, over stream: PipeStream) async throws -> CopyReport {
    do {
      return try await CopySource(root: source, path: path).run(over: stream)
    } catch {
      stream.reset((error as? IorunError) ?? IorunError(.internalFault, "\(error)"))
      throw error
    }
  }

  var partials: [String] {
    (FileManager.default.enumerator(atPath: sink)?.allObjects as? [String] ?? []).filter {
      $0.contains(CopySink.partialPrefix)
    }
  }
}

@Suite("A copy")
struct CopyTests {
  @Test("keeps folders, bytes and modes, empty files too")
  func folder() async throws {
    let folders = try Folders()
    var generator = SeededGenerator(seed: 7)
    let large = generator.bytes(700_000)
    try folders.write(large, "large.bin", mode: 0o600)
    try folders.write([], "a/empty")
    try folders.write(Array("x".utf8), "a/b/run.sh", mode: 0o755)
    for index in 0..<300 { try folders.write(Array("\(index)".utf8), "many/\(index)") }
    let (sent, taken) = try await folders.copy(to: "into/here")
    #expect(sent.files == 303)
    #expect(sent == taken)
    #expect(taken.refusalCount == 0)
    #expect(folders.read("into/here/large.bin") == large)
    #expect(folders.read("into/here/a/empty") == [])
    #expect(folders.mode("into/here/large.bin") == 0o600)
    #expect(folders.mode("into/here/a/b/run.sh") == 0o755)
    #expect(folders.read("into/here/many/299") == Array("299".utf8))
    #expect(folders.partials.isEmpty)
  }

  @Test(
    "that gives away leaves what it makes to the folder's owner",
    .enabled(if: geteuid() == 0, "giving files away needs root: SKIPPED"), arguments: [false, true])
  func owner(givesAway: Bool) async throws {
    let folders = try Folders()
    try folders.write([1, 2, 3], "in/file")
    try #require(chown(folders.sink, 4321, 4321) == 0)
    _ = try await folders.copy(to: "made", givesAway: givesAway)
    for path in ["made", "made/in", "made/in/file"] {
      let found = try FileManager.default.attributesOfItem(atPath: folders.sink + "/" + path)
      let owner = (found[.ownerAccountID] as? NSNumber)?.uint32Value
      #expect(owner == (givesAway ? 4321 : 0), "\(path)")
    }
  }

  @Test("of one file goes into a folder, or becomes what it is called")
  func single() async throws {
    let folders = try Folders()
    try folders.write([1, 2, 3], "in/file")
    _ = try await folders.copy("in/file")
    #expect(folders.read("file") == [1, 2, 3])
    _ = try await folders.copy("in/file", to: "made/")
    #expect(folders.read("made/file") == [1, 2, 3])
    _ = try await folders.copy("in/file", to: "made/other")
    #expect(folders.read("made/other") == [1, 2, 3])
    await #expect(throws: IorunError.self) { try await folders.copy("in/nothing") }
  }

  @Test("that was cut off goes on where it was")
  func resumed() async throws {
    let folders = try Folders()
    var generator = SeededGenerator(seed: 8)
    let bytes = generator.bytes(3_000_000)
    try folders.write(bytes, "big")
    try folders.write([1], "small")
    await #expect(throws: IorunError.self) { try await folders.copy(cutAfter: 2_000_000) }
    #expect(folders.read("big") == nil, "an unfinished file has no name yet")
    #expect(folders.partials.count == 1)
    let (sent, taken) = try await folders.copy()
    #expect(folders.read("big") == bytes)
    #expect(taken.resumedBytes > 1_000_000)
    #expect(sent.resumedBytes == taken.resumedBytes)
    #expect(folders.partials.isEmpty)
    let (_, again) = try await folders.copy()
    #expect(again.resumedBytes == 3_000_001, "nothing is sent twice")
  }

  @Test(
    "whose first part is another file's begins anew, and a changed file of the same size is sent")
  func changed() async throws {
    let folders = try Folders()
    var generator = SeededGenerator(seed: 9)
    try folders.write(generator.bytes(3_000_000), "big")
    await #expect(throws: IorunError.self) { try await folders.copy(cutAfter: 2_000_000) }
    let other = generator.bytes(3_000_000)
    try folders.write(other, "big")
    let (_, taken) = try await folders.copy()
    #expect(folders.read("big") == other)
    #expect(taken.resumedBytes == 0)
    let third = generator.bytes(3_000_000)
    try folders.write(third, "big", mode: 0o700)
    _ = try await folders.copy()
    #expect(folders.read("big") == third)
    #expect(folders.mode("big") == 0o700)
  }

  @Test("names what it does not copy: links, pipes")
  func refused() async throws {
    let folders = try Folders()
    try folders.write([1], "good")
    symlink("/etc/passwd", folders.source + "/link")
    mkfifo(folders.source + "/fifo", 0o600)
    let (sent, taken) = try await folders.copy()
    #expect(taken.files == 1)
    #expect(Set(taken.refusals.map(\.path)) == ["link", "fifo"])
    #expect(sent.refusalCount == 2)
    #expect(folders.read("link") == nil)
    await #expect(throws: IorunError.self) { try await folders.copy("link") }
  }

  @Test("never leaves the sink's folder, whatever the source says or a link says there")
  func traversal() async throws {
    let digest = SHA256.digest(of: [])
    for path in ["../out", "/etc/out", "a/../../out", "a//b", ".", "", "a/./b", "x\u{0}y"] {
      let folders = try Folders()
      let (there, here) = PipeStream.pair()
      for record in [
        CopyRecord.root(isFolder: true, name: "x"),
        .file(index: 0, size: 0, mode: 0o644, path: path), .begin(index: 0, offset: 0),
        .end(digest),
        .listed,
      ] {
        try await there.write(record.encoded)
      }
      await #expect(throws: IorunError.self, "\(path)") {
        try await CopySink(root: folders.sink, target: "").run(over: here)
      }
    }
    // A job puts a link in the way: of a folder, of a file, of the target itself.
    let folders = try Folders()
    let outside = folders.source + "/outside"
    try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
    try folders.write([1], "data/dir/file")
    symlink(outside, folders.sink + "/dir")
    let (_, taken) = try await folders.copy("data")
    #expect(taken.files == 0)
    #expect(taken.refusalCount >= 1)
    await #expect(throws: IorunError.self) { try await folders.copy("data", to: "dir/sub") }
    #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
    for target in ["../x", "/tmp/x", "a/../../x"] {
      await #expect(throws: IorunError.self, "\(target)") {
        try await folders.copy("data", to: target)
      }
    }
    for source in ["../sink", "data/../../sink", "/etc"] {
      await #expect(throws: IorunError.self, "\(source)") { try await folders.copy(source) }
    }
    // A link at a file's place is replaced, and not followed.
    try folders.write([9], "plain/name")
    let victim = folders.source + "/victim"
    try Data([5]).write(to: URL(fileURLWithPath: victim))
    symlink(victim, folders.sink + "/name")
    _ = try await folders.copy("plain")
    #expect(folders.read("name") == [9])
    #expect(FileManager.default.contents(atPath: victim) == Data([5]))
  }

  @Test("whose source lies about sizes, digests or order ends with an error or names the file")
  func lies() async throws {
    let digest = SHA256.digest(of: [1, 2, 3])
    let root = CopyRecord.root(isFolder: true, name: "x")
    let file = CopyRecord.file(index: 0, size: 3, mode: 0o644, path: "f")
    let stories: [[CopyRecord]] = [
      [file],
      [root, .begin(index: 0, offset: 0)],
      [root, file, .data([1])],
      [root, file, .begin(index: 0, offset: 2)],
      [root, file, .begin(index: 0, offset: 0), .data([1, 2, 3, 4])],
      [root, file, file],
      [root, file, .begin(index: 0, offset: 0), .begin(index: 0, offset: 0)],
      [root, .want(index: 0, offset: 0, digest: digest)],
      [root, .file(index: 1, size: .max, mode: 0, path: "f")],
      [root, .end(digest)], [root, .gone(index: 3, reason: "x")],
    ]
    for story in stories {
      let folders = try Folders()
      let (there, here) = PipeStream.pair()
      for record in story { try await there.write(record.encoded) }
      try await there.finish()
      await #expect(throws: IorunError.self, "\(story)") {
        try await CopySink(root: folders.sink, target: "").run(over: here)
      }
      #expect(folders.read("f") == nil)
    }
    // A wrong digest is asked for once more, then named.
    let folders = try Folders()
    let (there, here) = PipeStream.pair()
    for record in [
      root, file, .listed, .begin(index: 0, offset: 0), .data([9, 9, 9]), .end(digest),
      .begin(index: 0, offset: 0), .data([9, 9, 9]), .end(digest),
    ] {
      try await there.write(record.encoded)
    }
    let report = try await CopySink(root: folders.sink, target: "").run(over: here)
    #expect(report.files == 0)
    #expect(report.refusals.map(\.path) == ["f"])
    #expect(folders.read("f") == nil)
  }

  @Test("records of arbitrary bytes are read or refused")
  func fuzz() {
    var generator = SeededGenerator(seed: 11)
    let digest = SHA256.digest(of: [])
    let good: [CopyRecord] = [
      .root(isFolder: true, name: "n"), .folder(path: "a", mode: 1),
      .file(index: 1, size: 2, mode: 3, path: "p"), .refused(path: "a", reason: "b"),
      .begin(index: 1, offset: 2), .data([1]), .end(digest), .gone(index: 1, reason: "r"),
      .want(index: 1, offset: 2, digest: digest), .done(index: 1, resumedBytes: 3),
      .failed(path: "a", reason: "b"), .finished, .listed,
    ]
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = good[Int.random(in: good.indices, using: &generator)].encoded
      for _ in 0..<Int.random(in: 0...3, using: &generator) {
        bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
      }
      var reader = RecordReader(most: CopyRecord.mostBytes)
      reader.append(bytes)
      if let (kind, body) = try? reader.next(),
        let record = try? CopyRecord(kind: kind, body: body)
      {
        accepted += record.encoded.isEmpty ? 0 : 1
      }
    }
    #expect(accepted > 1000)
    for record in good {
      let bytes = record.encoded
      let again = try? CopyRecord(kind: bytes[0], body: bytes[RecordReader.headerBytes...])
      #expect(again == record)
    }
  }
}
