import IorunCore
import Testing

@testable import IorunSandbox

@Suite("Programs of the machine")
struct HelperProgramTests {
  @Test("what one prints, and how it ends, is told apart")
  func said() throws {
    let end = try HelperProgram.ask(
      "/bin/sh", ["-c", "echo $WORD; echo no >&2; exit 75"], environment: ["WORD": "yes"],
      within: .seconds(60))
    #expect(end.output == "yes\n" && end.errors == "no\n" && end.status == 75)
    let cut = try HelperProgram.ask("/bin/echo", ["0123456789"], limit: 4, within: .seconds(60))
    #expect(cut.output == "0123" && cut.status == 0)
  }

  @Test("one that takes too long is ended, and what it started does not keep its asker")
  func late() throws {
    let end = try HelperProgram.ask(
      "/bin/sh", ["-c", "echo begun; sleep 3 & exec sleep 1000"], within: .milliseconds(300))
    #expect(end.status == 128 + 9)
  }

  @Test("a missing program is an error, and inherits nothing")
  func missing() throws {
    #expect(throws: IorunError.self) {
      try HelperProgram.ask("/no/such/program", [], within: .seconds(60))
    }
    let open = try HelperProgram.ask("/bin/ls", ["/proc/self/fd"], within: .seconds(60))
    // Its three streams, and the folder that it reads.
    #expect(open.output == "0\n1\n2\n3\n")
  }
}
