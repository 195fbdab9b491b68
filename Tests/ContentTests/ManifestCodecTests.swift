import IorunContent
import IorunCore
import Testing

@Suite("Manifest codec")
struct ManifestCodecTests {
  func file(_ path: String, _ text: String = "x") -> Manifest.Entry {
    .init(path: path, kind: .file(content: Chunker.blob(of: Array(text.utf8)), executable: false))
  }

  func link(_ path: String, to target: String) -> Manifest.Entry {
    .init(path: path, kind: .symbolicLink(target: target))
  }

  /// Encodes without a check, as a hostile sender would, and decodes.
  func decode(_ entries: [Manifest.Entry]) throws -> Manifest {
    try ManifestCodec.decode(ManifestCodec.encode(Manifest(entries: entries)))
  }

  @Test("what was encoded is decoded, and equal manifests have equal bytes")
  func roundTrip() throws {
    let entries = [
      file("a/b c", "one"), link("a/l", to: "../d"), file("d/ü", "two"), file("e", ""),
    ]
    #expect(try decode(entries).entries == entries)
    #expect(
      try ManifestCodec.encode(Manifest(entries: entries))
        == ManifestCodec.encode(Manifest(entries: entries)))
  }

  @Test(
    "a path that leads out of the folder is refused",
    arguments: [
      "", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "./a", "a/.", "a//b", "a/", "a\0b",
      String(repeating: "a/", count: 600) + "a", String(repeating: "a", count: 256),
    ])
  func hostilePaths(path: String) {
    let error = #expect(throws: IorunError.self) { try decode([file(path)]) }
    #expect(error?.code == .malformed)
  }

  @Test(
    "a link that leads out of the folder is refused",
    arguments: ["", "/etc", "../..", "../../x", "b/../../../x", "b/..", "x\0y"])
  func hostileLinks(target: String) {
    #expect(throws: IorunError.self) { try decode([link("a/l", to: target)]) }
  }

  @Test("paths that are out of order or come twice are refused")
  func order() {
    #expect(throws: IorunError.self) { try decode([file("b"), file("a")]) }
    #expect(throws: IorunError.self) { try decode([file("a"), file("a")]) }
  }

  @Test("a path through a file or a link is refused, even where others stand between")
  func throughEntry() {
    #expect(throws: IorunError.self) { try decode([file("a"), file("a-b"), file("a/b")]) }
    #expect(throws: IorunError.self) { try decode([link("a", to: "b"), file("a/b")]) }
  }

  @Test("two names that only look alike are two files")
  func normalization() throws {
    let entries = [file("e\u{301}"), file("\u{e9}")]
    #expect(try decode(entries).entries.count == 2)
  }

  @Test(
    "sizes that do not fit the chunks are refused",
    arguments: [UInt64](arrayLiteral: 0, 262_145, .max))
  func sizes(size: UInt64) throws {
    let digest = Chunker.blob(of: [1]).chunks
    let blob = Blob(size: Bytes(size), chunks: digest)
    #expect(throws: IorunError.self) {
      try decode([.init(path: "a", kind: .file(content: blob, executable: false))])
    }
  }

  @Test(
    "bytes that are no manifest are refused",
    arguments: ["", "[]", "{}", "{\"entries\":1}", "{\"entries\":[{\"path\":\"a\"}]}", "\u{0}"])
  func garbage(text: String) {
    let error = #expect(throws: IorunError.self) { try ManifestCodec.decode(Array(text.utf8)) }
    #expect(error?.code == .malformed)
  }
}
