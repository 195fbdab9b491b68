import IorunClient
import Testing

@Suite struct TableTests {
  private let table = Table(
    columns: [.init("NAME", mayShrink: true), .init("N", isRightAligned: true), .init("WHY")],
    rows: [["a", "10", ""], ["日本", "7", "b"]])

  @Test func `columns are aligned by what a terminal shows, without spaces at the end`() {
    #expect(table.render(.plain) == "NAME   N  WHY\na     10\n日本   7  b\n")
  }

  @Test func `a pipe gets everything, a narrow terminal gets it cut`() {
    let long = Table(
      columns: [.init("NAME", mayShrink: true), .init("ID")],
      rows: [[String(repeating: "x", count: 40), "job-1"]])
    let narrow = TerminalStyle(isTerminal: true, usesColour: false, columns: 20)
    let lines = long.render(narrow).split(separator: "\n")
    #expect(lines[1] == "xxxxxxxxxxxx…  job-1")
    #expect(long.render(.plain).contains(String(repeating: "x", count: 40)))
  }

  @Test func `names cannot smuggle control characters or line breaks into a table`() {
    let hostile = Table(columns: [.init("NAME")], rows: [["a\u{1B}[2J\nb\u{202E}"]])
    #expect(hostile.render(.plain) == "NAME\na?[2J b?\n")
  }

  @Test func `a row with too few cells is filled, one with too many is cut`() {
    let odd = Table(columns: [.init("A"), .init("B")], rows: [["1"], ["1", "2", "3"]])
    #expect(odd.render(.plain) == "A  B\n1\n1  2\n")
  }
}
