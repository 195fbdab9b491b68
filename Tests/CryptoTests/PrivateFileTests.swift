import Foundation
import IorunCore
import IorunCrypto
import Testing

@Suite("Private files")
final class PrivateFileTests {
  let folder: String
  var path: String { folder + "/key" }

  init() throws {
    folder = FileManager.default.temporaryDirectory.path + "/iorun-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  @Test("what was written is read, from a file that only its owner may open")
  func roundTrip() throws {
    try PrivateFile.write([1, 2, 3], to: path)
    #expect(try PrivateFile.read(path, maximum: 3) == [1, 2, 3])
    var status = stat()
    #expect(stat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o600)
  }

  @Test("writing again replaces all of it and leaves nothing beside it")
  func replaces() throws {
    try PrivateFile.write([1, 2, 3], to: path)
    try PrivateFile.write([4], to: path)
    #expect(try PrivateFile.read(path, maximum: 3) == [4])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["key"])
  }

  @Test("a file that others may open is refused, with the command that mends it")
  func openToOthers() throws {
    try PrivateFile.write([1], to: path)
    #expect(chmod(path, 0o640) == 0)
    let error = #expect(throws: IorunError.self) { try PrivateFile.read(path, maximum: 3) }
    #expect(error?.code == .identityUnusable)
    #expect(error?.remedy?.contains("chmod 600") == true)
  }

  @Test("a symbolic link in its place is not followed")
  func link() throws {
    try PrivateFile.write([1], to: folder + "/real")
    #expect(symlink(folder + "/real", path) == 0)
    #expect(throws: IorunError.self) { try PrivateFile.read(path, maximum: 3) }
  }

  @Test("a pipe in its place neither hangs nor is read")
  func pipe() throws {
    #expect(mkfifo(path, 0o600) == 0)
    let error = #expect(throws: IorunError.self) { try PrivateFile.read(path, maximum: 3) }
    #expect(error?.code == .identityUnusable)
  }

  @Test("a file that is too large is refused")
  func tooLarge() throws {
    try PrivateFile.write([1, 2, 3, 4], to: path)
    let error = #expect(throws: IorunError.self) { try PrivateFile.read(path, maximum: 3) }
    #expect(error?.code == .identityUnusable)
  }

  @Test("a missing file and a missing folder say so")
  func missing() {
    let absent = #expect(throws: IorunError.self) { try PrivateFile.read(path, maximum: 3) }
    #expect(absent?.code == .fileMissing)
    let lost = #expect(throws: IorunError.self) {
      try PrivateFile.write([1], to: folder + "/none/key")
    }
    #expect(lost?.code == .fileMissing)
  }
}
