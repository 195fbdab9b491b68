import Foundation
import Testing

@testable import IorunClient

@Suite struct TerminalStyleTests {
  @Test func `COLUMNS counts before what the terminal says, and nonsense does not`() {
    func columns(_ environment: [String: String], _ measured: Int?) -> Int? {
      TerminalStyle.resolve(measuredColumns: measured, environment: environment).columns
    }
    #expect(columns(["COLUMNS": "60"], 100) == 60)
    #expect(columns(["COLUMNS": "x"], 100) == 100)
    #expect(columns(["COLUMNS": "-5"], nil) == 80)
  }

  @Test func `NO_COLOR switches colour off unless it is empty`() {
    func colour(_ environment: [String: String]) -> Bool {
      TerminalStyle.resolve(measuredColumns: nil, environment: environment).usesColour
    }
    #expect(colour([:]))
    #expect(colour(["NO_COLOR": ""]))
    #expect(!colour(["NO_COLOR": "1"]))
    #expect(!colour(["TERM": "dumb"]))
  }

  @Test func `a pipe is plain`() {
    let pipe = Pipe()
    let style = TerminalStyle.detect(
      fileDescriptor: pipe.fileHandleForWriting.fileDescriptor, environment: ["COLUMNS": "40"])
    #expect(style == .plain)
  }
}
