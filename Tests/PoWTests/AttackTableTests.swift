import Foundation
import Testing

/// The tables of docs/POW.md name tests; those must be there.
@Suite("The table of attacks")
struct AttackTableTests {
  @Test("every test that docs/POW.md names for an attack or a bad input is there")
  func named() throws {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(
      decoding: Data(contentsOf: package.appendingPathComponent("docs/POW.md")), as: UTF8.self)
    let part = try #require(text.range(of: "\n## Attacks\n")).upperBound
    let rows = text[part...].split(separator: "\n").filter { $0.hasPrefix("| ") }.map {
      $0.split(separator: "|", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }.filter { $0.count > 3 && $0[1] != "attack" && $0[1] != "what" }
    #expect(rows.count >= 30)
    var sources = ""
    for folder in ["PoWTests", "HeadTests/Proofs", "WorkerTests/Proving"] {
      let tests = package.appendingPathComponent("Tests/" + folder)
      for file in try FileManager.default.contentsOfDirectory(atPath: tests.path)
      where file.hasSuffix(".swift") {
        sources += String(
          decoding: try Data(contentsOf: tests.appendingPathComponent(file)), as: UTF8.self)
      }
    }
    for row in rows {
      let names = row[row.count - 2].matches(of: /`([^`]+)`/).map { String($0.1) }
      #expect(!names.isEmpty, "no test of '\(row[1])'")
      for name in names {
        #expect(sources.contains("\"" + name), "'\(row[1])': no test begins with '\(name)'")
      }
    }
  }
}
