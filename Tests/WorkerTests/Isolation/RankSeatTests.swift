import Foundation
import IorunCore
import Testing

@testable import IorunWorker

/// What a rank in a sandbox shares with its node's hub.
@Suite struct RankSeatTests {
  private static func with(
    _ body: (RankSeat, _ work: String, _ outside: String) throws -> Void
  ) throws {
    let folder = NSTemporaryDirectory() + "seat-\(UUID().uuidString.prefix(8))"
    let work = folder + "/job"
    try FileManager.default.createDirectory(
      atPath: work + "/bin", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try "outside".write(toFile: folder + "/outside", atomically: false, encoding: .utf8)
    try "a program".write(toFile: work + "/bin/app", atomically: false, encoding: .utf8)
    let seat = try RankSeat(
      block: 1, user: geteuid(), directory: folder + "/sockets", work: work, arenaBytes: 1 << 20)
    try body(seat, work, folder + "/outside")
  }

  private static func job() -> JobID {
    var generator = SystemRandomNumberGenerator()
    return JobID(using: &generator)
  }

  @Test func `files below the working folder are reached, as the rank names them`() throws {
    try Self.with { seat, _, _ in
      let program = try seat.reach("/job/bin/app", isFolder: false)
      #expect(try String(contentsOfFile: program.path, encoding: .utf8) == "a program")
      let folder = try seat.reach("/job", isFolder: true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["bin"])
    }
  }

  @Test(arguments: [
    "/etc/passwd", "/job/../outside", "/job/bin/../../outside", "/job/out/passwd", "job/bin/app",
    "/jobs/bin/app", "/job", "/job/bin", "/job/out", "", "/",
  ])
  func `nothing of the machine is`(path: String) throws {
    try Self.with { seat, work, _ in
      try FileManager.default.createSymbolicLink(
        atPath: work + "/out", withDestinationPath: "/etc")
      #expect(throws: IorunError.self) { try seat.reach(path, isFolder: false) }
      if path != "/job", path != "/job/bin" {
        #expect(throws: IorunError.self) { try seat.reach(path, isFolder: true) }
      }
    }
  }

  @Test func `one runtime job at a time has it, and the next one finds it empty`() throws {
    try Self.with { seat, _, _ in
      let (first, second) = (Self.job(), Self.job())
      try seat.take(first)
      #expect(seat.job == first)
      #expect(throws: IorunError.self) { try seat.take(second) }
      try "".write(toFile: seat.directory + "/socket", atomically: false, encoding: .utf8)
      seat.leave()
      #expect(try FileManager.default.contentsOfDirectory(atPath: seat.directory).isEmpty)
      try seat.take(second)
    }
  }

  @Test func `its folder goes with the rank, but not before its runtime job`() throws {
    try Self.with { seat, _, _ in
      try seat.take(Self.job())
      seat.close()
      #expect(FileManager.default.fileExists(atPath: seat.directory))
      seat.leave()
      #expect(!FileManager.default.fileExists(atPath: seat.directory))
      #expect(throws: IorunError.self) { try seat.take(Self.job()) }
    }
  }
}
