import Foundation
import IorunContent
import IorunCore
import Testing

@Suite("Output patterns")
struct OutputGlobTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(
    "name what they should",
    arguments: [
      ("model.bin", "model.bin", true), ("model.bin", "sub/model.bin", false),
      ("checkpoints/*", "checkpoints/a", true), ("checkpoints/*", "checkpoints/a/b", true),
      ("checkpoints", "checkpoints/a/b", true), ("checkpoints/", "checkpoints/a", true),
      ("*.json", "a.json", true), ("*.json", "b/a.json", false), ("**/*.json", "a.json", true),
      ("**/*.json", "x/y/a.json", true), ("**/*.json", "x/y/a.jso", false),
      ("a/**/z", "a/z", true), ("a/**/z", "a/b/c/z", true), ("a/**/z", "b/z", false),
      ("e?och-[0-9]*.pt", "epoch-3.pt", true), ("e?och-[!0-9].pt", "epoch-3.pt", false),
      ("./out", "out", true), ("[x", "[x", true), ("a\\*", "a*", true), ("a\\*", "ab", false),
    ])
  func matching(pattern: String, path: String, expected: Bool) throws {
    #expect(try OutputGlob([pattern]).matches(path) == expected)
  }

  @Test(
    "a pattern that leads out of the folder is refused",
    arguments: ["", "/etc/*", "../x", "a/../b"])
  func hostile(pattern: String) {
    let error = #expect(throws: IorunError.self) { try OutputGlob([pattern]) }
    #expect(error?.code == .specInvalid)
  }

  @Test("a pattern made to be slow is not")
  func slowPattern() throws {
    let glob = try OutputGlob([String(repeating: "*a", count: 120) + "b"])
    let began = ContinuousClock.now
    #expect(!glob.matches(String(repeating: "a", count: 255)))
    #expect(ContinuousClock.now - began < .seconds(2))
  }

  @Test("files are found with their content; a pattern without a file is named")
  func find() throws {
    try folder.write("model", to: "model.bin")
    try folder.write("one", to: "checkpoints/1.pt")
    try folder.write("other", to: "train.py")
    let found = try OutputGlob(["model.bin", "checkpoints/*", "metrics.json"]).find(
      below: folder.path)
    #expect(found.files.map(\.path) == ["checkpoints/1.pt", "model.bin"])
    #expect(found.unmatched == ["metrics.json"])
    #expect(try found.source.read(found.files[1].content.chunks[0]) == Array("model".utf8))
  }

  @Test("a link inside counts as its file; a link outside, a pipe and a linked folder do not")
  func links() throws {
    let outside = try TemporaryFolder()
    try outside.write("secret", to: "file")
    try folder.write("three", to: "epoch-3.pt")
    #expect(symlink("epoch-3.pt", folder.path + "/latest") == 0)
    #expect(symlink(outside.path + "/file", folder.path + "/stolen") == 0)
    #expect(symlink(outside.path, folder.path + "/elsewhere") == 0)
    #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
    let found = try OutputGlob(["*"]).find(below: folder.path)
    #expect(found.files.map(\.path) == ["epoch-3.pt", "latest"])
    #expect(found.files[0].content == found.files[1].content)
    #expect(found.source.digests.count == 1)
  }
}
