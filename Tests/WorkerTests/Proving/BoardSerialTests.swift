import Foundation
import Testing

@testable import IorunWorker

@Suite("A board's serial number")
struct BoardSerialTests {
  private func digest(serial: String?, vendor: String = "Maker") throws -> String? {
    let folder = NSTemporaryDirectory() + "iorun-dmi-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try serial?.write(toFile: folder + "/board_serial", atomically: true, encoding: .utf8)
    try vendor.write(toFile: folder + "/board_vendor", atomically: true, encoding: .utf8)
    return BoardSerial.digest(folder: folder)?.description
  }

  @Test("two nodes on one board tell the same, others something else, and nobody the number")
  func digests() throws {
    let one = try #require(try digest(serial: "PF3ABC12\n"))
    #expect(try digest(serial: " PF3ABC12 \n") == one)
    #expect(try digest(serial: "PF3ABC13\n") != one)
    #expect(try digest(serial: "PF3ABC12\n", vendor: "Other") != one)
    #expect(!one.contains("PF3ABC12"))
  }

  @Test(
    "what firmware says where nobody wrote a number ties no nodes together",
    arguments: [nil, "", "None\n", "To be filled by O.E.M.\n", "0000-0000", "Default  string"])
  func fillers(serial: String?) throws {
    #expect(try digest(serial: serial) == nil)
  }

  @Test("a file of any bytes does no harm")
  func rubbish() throws {
    #expect(try digest(serial: String(repeating: "\u{0}x\u{1b}[31m", count: 10_000)) != nil)
  }
}
