import Foundation
import IorunClient
import IorunCore
import Testing

@Suite struct ErrorRenderingTests {
  private struct Reason: Error, CustomStringConvertible { let description = "disk\non fire" }

  @Test func `an error says what, why, what to do, and its code`() {
    let error = IorunError(.diskFull, "no room for the log", remedy: "Free 1 GiB", cause: Reason())
    #expect(
      ErrorRendering.text(error) == """
        error: no room for the log
          why: disk on fire
          do: Free 1 GiB
          code: IOR-1402

        """)
  }

  @Test func `what is not known is not shown`() {
    #expect(
      ErrorRendering.text(IorunError(.notFound, "no job 'x'"))
        == "error: no job 'x'\n  code: IOR-1305\n")
  }

  @Test func `docs/ERRORS.md explains every code, once and under its name`() throws {
    let root = (0..<4).reduce(URL(fileURLWithPath: #filePath)) { url, _ in
      url.deletingLastPathComponent()
    }
    let source = try String(
      contentsOf: root.appending(path: "Sources/Core/IorunError.swift"), encoding: .utf8)
    let document = try String(
      contentsOf: root.appending(path: "docs/ERRORS.md"), encoding: .utf8)
    let codes = source.matches(of: /static let (\w+) = Self\(rawValue: (\d+)\)/)
    #expect(codes.count > 25)
    for code in codes {
      let heading = "### IOR-\(code.2) `\(code.1)`"
      let sections = document.components(separatedBy: heading + "\n")
      #expect(sections.count == 2, "docs/ERRORS.md needs exactly one heading \(heading)")
      let section = sections.last?.components(separatedBy: "\n##").first ?? ""
      for part in ["**Cause**", "**Do**"] {
        #expect(section.contains(part), "\(heading) has no \(part)")
      }
    }
    let documented = document.matches(of: /### IOR-(\d+)/).map { String($0.1) }
    #expect(Set(documented) == Set(codes.map { String($0.2) }))
  }
}
