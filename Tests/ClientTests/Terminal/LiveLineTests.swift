import IorunClient
import Testing

@Suite struct LiveLineTests {
  private let terminal = TerminalStyle(isTerminal: true, usesColour: true, columns: 10)

  @Test func `a terminal's line is rewritten in place and never wraps`() {
    var line = LiveLine(style: terminal)
    #expect(line.show("running 1s") == "\r\u{1B}[2Krunning …")
    #expect(line.show("ok 2s") == "\r\u{1B}[2Kok 2s")
    #expect(line.show("ok 2s") == "")
    #expect(line.finish() == "\n")
    #expect(line.finish() == "")
  }

  @Test func `other output goes between clear and redraw`() {
    var line = LiveLine(style: terminal)
    #expect(line.clear() + line.redraw() == "")
    _ = line.show("busy")
    #expect(line.clear() == "\r\u{1B}[2K")
    #expect(line.redraw() == "busy")
    #expect(line.finish(keeping: false) == "\r\u{1B}[2K")
  }

  @Test func `a pipe gets one line a change`() {
    var line = LiveLine(style: .plain)
    #expect(line.show("running 1s", plain: "running") == "running\n")
    #expect(line.show("running 2s", plain: "running") == "")
    #expect(line.show("done 3s", plain: "done") == "done\n")
    #expect(line.clear() + line.redraw() + line.finish() == "")
  }
}
