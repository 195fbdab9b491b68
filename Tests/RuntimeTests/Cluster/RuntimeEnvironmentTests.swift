import Foundation
import IorunCore
import TestSupport
import Testing

@testable import IorunRuntime

/// What travels to a worker so that it finds what its driver described.
@Suite struct RuntimeEnvironmentTests {
  private let node = NodeID(high: 1, low: 2)

  private func document(_ environment: RuntimeEnvironment) throws -> RuntimeEnvironment.Document {
    let text = try environment.encoded(on: node).text
    return try JSONDecoder().decode(RuntimeEnvironment.Document.self, from: Data(text.utf8))
  }

  /// A folder with these files, removed after `body`.
  private func with<Result>(
    _ files: [String: Int], _ body: (String) throws -> Result
  ) throws -> Result {
    let folder = NSTemporaryDirectory() + "/iorun-environment-\(UUID())"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (name, size) in files { try write(size, to: "\(folder)/\(name)") }
    return try body(folder)
  }

  private func write(_ size: Int, to path: String) throws {
    try FileManager.default.createDirectory(
      atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(repeating: 7, count: size).write(to: URL(fileURLWithPath: path))
  }

  @Test func `the plain one is no text at all`() throws {
    let (hash, text) = try RuntimeEnvironment().encoded(on: node)
    #expect(hash.isEmpty && text.isEmpty)
  }

  /// Workers are shared by those whose environments have one hash.
  @Test(arguments: 0..<100 as Range<UInt64>)
  func `the same variables have the same hash, others another one`(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var variables: [String: String] = [:]
    for _ in 0..<Int.random(in: 1...20, using: &generator) {
      let name = "V\(Int.random(in: 0..<1000, using: &generator))"
      variables[name] = String(
        (0..<Int.random(in: 0..<30, using: &generator)).map { _ in
          Character(UnicodeScalar(UInt8.random(in: 32..<127, using: &generator)))
        })
    }
    let first = try RuntimeEnvironment(variables: variables).encoded(on: node)
    // In another order of insertion.
    var again: [String: String] = [:]
    for (name, value) in variables.shuffled(using: &generator) { again[name] = value }
    #expect(try RuntimeEnvironment(variables: again).encoded(on: node) == first, "seed \(seed)")
    let read = try document(RuntimeEnvironment(variables: variables)).variables
    #expect(read == variables, "seed \(seed)")
    let name = try #require(variables.keys.sorted().randomElement(using: &generator))
    again[name, default: ""] += "x"
    let other = try RuntimeEnvironment(variables: again).encoded(on: node)
    #expect(other.hash != first.hash, "seed \(seed)")
    #expect(first.hash.count == 32)
  }

  @Test(arguments: ["", "A=B", "IORUN_TOKEN", "A\u{0}"])
  func `a variable that cannot be is refused`(name: String) {
    #expect(throws: IorunError.self) {
      try RuntimeEnvironment(variables: [name: "x"]).encoded(on: node)
    }
  }

  @Test func `more variables than a process can be given are refused`() {
    let long = String(repeating: "x", count: RuntimeEnvironment.textLimit)
    #expect(throws: IorunError.self) {
      try RuntimeEnvironment(variables: ["A": long]).encoded(on: node)
    }
  }

  @Test func `a small folder travels within`() throws {
    try with(["b": 3, "below/a": 40_000]) { folder in
      chmod(folder + "/b", 0o755)
      let found = try document(RuntimeEnvironment(workingFolder: folder)).workingFolder
      let files = try #require(found?.files)
      #expect(files.map(\.path) == ["b", "below/a"])
      #expect(files.map(\.content.count) == [3, 40_000])
      #expect(files.map(\.isExecutable) == [true, false])
      #expect(found?.node == nil)
    }
  }

  @Test func `a large one is named, with the node on which it lies and a stamp of what it holds`()
    throws
  {
    try with(["a": RuntimeEnvironment.folderLimit + 1, "b": 1]) { folder in
      let environment = RuntimeEnvironment(workingFolder: folder)
      let found = try document(environment).workingFolder
      #expect(found?.files == nil)
      #expect(found?.node == node.description)
      #expect(found?.path.hasSuffix((folder as NSString).lastPathComponent) == true)
      let hash = try environment.encoded(on: node).hash
      #expect(try environment.encoded(on: node).hash == hash)
      try write(2, to: folder + "/b")
      let changed = try environment.encoded(on: node).hash
      #expect(changed != hash, "a worker in its earlier state must not be used")
      try FileManager.default.moveItem(atPath: folder + "/b", toPath: folder + "/c")
      #expect(try environment.encoded(on: node).hash != changed)
    }
  }

  @Test func `many small files are a large folder`() throws {
    let files = Dictionary(uniqueKeysWithValues: (0..<1001).map { ("f\($0)", 0) })
    try with(files) { folder in
      let found = try document(RuntimeEnvironment(workingFolder: folder)).workingFolder
      #expect(found?.files == nil && found?.stamp != nil)
    }
  }

  @Test func `a folder that is none is refused`() {
    #expect(throws: IorunError.self) {
      try RuntimeEnvironment(workingFolder: "/nowhere/at/all").encoded(on: node)
    }
    #expect(throws: IorunError.self) {
      try RuntimeEnvironment(workingFolder: "/proc/self/stat").encoded(on: node)
    }
  }
}
