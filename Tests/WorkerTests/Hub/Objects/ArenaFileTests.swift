import Foundation
import IorunCore
import TestSupport
import Testing

@testable import IorunWorker

/// Shared memory and its way to disk and back.
struct ArenaFileTests {
  private let agent = PeerID(high: UInt64.random(in: .min ... .max), low: 7)

  @Test func `bytes go to disk and come back`() throws {
    let folder = try TemporaryFolder()
    let arena = try ArenaFile(agent: agent, name: "a", size: 1 << 20)
    let spill = try SpillFolder(folder.path + "/spill")
    let id = ObjectID(owner: WorkerID(high: 1, low: 2), counter: 3, index: 4)
    var random = SeededGenerator(seed: 1)
    let content = random.bytes(10_000)
    try #require(arena.bytes(4096, 10_000)).copyBytes(from: content)
    try spill.write(.init(object: id, offset: 4096, size: 10_000), from: arena)
    try spill.read(.init(object: id, offset: 65_536, size: 10_000), into: arena)
    #expect(Array(try #require(arena.bytes(65_536, 10_000))) == content)
    spill.delete(id)
    #expect(throws: IorunError.self) {
      try spill.read(.init(object: id, offset: 0, size: 10_000), into: arena)
    }
  }

  @Test func `a part outside of the arena is refused`() throws {
    let arena = try ArenaFile(agent: agent, name: "b", size: 1 << 20)
    #expect(arena.bytes(1 << 20, 1) == nil)
    #expect(arena.bytes(-1, 1) == nil)
    #expect(arena.bytes(1, .max) == nil)
  }

  @Test func `one for sandboxes has no name, and nobody changes its size`() throws {
    let arena = try ArenaFile(sealed: 1 << 20, path: "/proc/self/fd/5")
    let other = open("/proc/self/fd/\(arena.descriptor)", O_RDWR)
    defer { close(other) }
    #expect(pwrite(other, [7], 1, 4096) == 1)
    #expect(arena.bytes(4096, 1)?.first == 7)
    for size in [0, 4096, 2 << 20] {
      #expect(ftruncate(other, off_t(size)) == -1 && errno == EPERM)
    }
  }

  @Test func `the file is private, is warmed, and goes with its value`() throws {
    var path = ""
    do {
      let arena = try ArenaFile(agent: agent, name: "c", size: 4 << 20)
      path = arena.path
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      #expect(arena.populate(0, 4 << 20))
      // A job that comes back has another one.
      let other = try ArenaFile(agent: agent, name: "c", size: 4096)
      #expect(other.path != arena.path)
    }
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func `what is warmed stays in the file and out of the agent's own memory`() throws {
    let size: Int64 = 32 << 20
    let arena = try ArenaFile(agent: agent, name: "d", size: size)
    let bytes = try #require(arena.bytes(0, 8))
    bytes.copyBytes(from: [1, 2, 3, 4, 5, 6, 7, 8])
    try #require(arena.populate(0, size), "this kernel cannot populate a mapping")
    var status = stat()
    try #require(stat(arena.path, &status) == 0)
    #expect(Int64(status.st_blocks) * 512 >= size)
    #expect([UInt8](bytes) == [1, 2, 3, 4, 5, 6, 7, 8])
    // /proc says what of each mapping this process holds, in KiB.
    let file = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
    let maps = try #require(try file.readToEnd())
    let text = String(decoding: maps, as: UTF8.self)
    let part = try #require(text.range(of: arena.path)?.upperBound)
    let resident = text[part...].split(separator: "\n").first { $0.hasPrefix("Rss:") }
    let kibibytes = resident?.split(separator: " ").compactMap { Int($0) }.first
    #expect(try #require(kibibytes) < 4096)
  }

  @Test func `what a killed agent left is removed`() throws {
    let path = "\(ArenaFile.folder)/iorun-\(agent)-left"
    _ = FileManager.default.createFile(atPath: path, contents: Data())
    ArenaFile.removeLeftovers(of: agent)
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func `an object id is read from its text and its bytes, and from nothing else`() {
    let id = ObjectID(owner: WorkerID(high: .max - 1, low: 5), counter: 1 << 40, index: 9)
    #expect(ObjectID(id.description) == id)
    #expect(ObjectID(bytes: id.bytes) == id)
    #expect(id.description.count == 56)
    #expect(ObjectID(String(id.description.dropLast())) == nil)
    #expect(ObjectID(id.description.uppercased()) == nil)
    #expect(ObjectID(id.description.replacing("0", with: "g")) == nil)
  }
}
