import Foundation
import IorunContract
import Testing

@testable import IorunClient

@Suite struct LogPrinterTests {
  private let terminal = TerminalStyle(isTerminal: true, usesColour: false, columns: 80)
  private let coloured = TerminalStyle(isTerminal: true, usesColour: true, columns: 80)

  private func chunk(_ rank: Int, _ bytes: some Sequence<UInt8>, attempt: Int = 1) -> LogChunk {
    LogChunk(cursor: LogCursor(attempt: attempt, rank: rank, offset: 0), bytes: Data(bytes))
  }

  private func text(_ data: Data) -> String { String(decoding: data, as: UTF8.self) }

  @Test func `pieces of several ranks become whole lines`() {
    var printer = LogPrinter(style: .plain, showsRanks: true)
    #expect(text(printer.print(chunk(0, "one\ntw".utf8))) == "[0] one\n")
    #expect(text(printer.print(chunk(1, "uno\n".utf8))) == "[1] uno\n")
    #expect(text(printer.print(chunk(0, "o\n\n".utf8))) == "[0] two\n[0] \n")
    #expect(text(printer.print(chunk(1, "rest".utf8))) == "")
    #expect(text(printer.finish()) == "[1] rest\n")
    #expect(printer.finish().isEmpty)
  }

  @Test func `a character that is split between pieces stays whole`() {
    var printer = LogPrinter(style: terminal, showsRanks: false)
    let bytes = Array("é\n".utf8)
    #expect(printer.print(chunk(0, bytes.prefix(1))).isEmpty)
    #expect(text(printer.print(chunk(0, bytes.dropFirst(1)))) == "é\n")
  }

  @Test func `a pipe gets the bytes as they are`() {
    var printer = LogPrinter(style: .plain, showsRanks: false)
    let bytes: [UInt8] = [0xFF, 0x1B, 0x5D, 0x00, 0x0D, 0x0A]
    #expect(printer.print(chunk(0, bytes)) == Data(bytes))
  }

  @Test(
    "a terminal gets nothing that could harm it",
    arguments: [
      ("clear\u{1B}[2Jed", "cleared"), ("title\u{1B}]0;x\u{7}!", "title!"),
      ("clip\u{1B}]52;c;eA==\u{1B}\\!", "clip!"), ("bell\u{7}", "bell"),
      ("c1\u{9B}2J", "c12J"), ("open\u{1B}]0;never closed", "open"), ("end\u{1B}", "end"),
      ("charset\u{1B}(0x", "charsetx"), ("reset\u{1B}c!", "reset!"), ("a\tb", "a\tb"),
      ("back\u{8}", "back"), ("windows\r", "windows"), ("10%\r50%\r100%", "100%"),
      ("\u{1B}[31mred\u{1B}[0m", "red"),
    ])
  func harmless(line: String, shown: String) {
    var printer = LogPrinter(style: terminal, showsRanks: false)
    #expect(text(printer.print(chunk(0, (line + "\n").utf8))) == shown + "\n")
  }

  @Test func `colours of the program stay where colour is wanted, and end with the line`() {
    var printer = LogPrinter(style: coloured, showsRanks: false)
    #expect(
      text(printer.print(chunk(0, "\u{1B}[31mred\u{1B}[2J\n".utf8))) == "\u{1B}[31mred\u{1B}[0m\n")
  }

  @Test func `ranks have colours only where colour is wanted`() {
    var printer = LogPrinter(style: coloured, showsRanks: true)
    #expect(text(printer.print(chunk(1, "x\n".utf8))) == "\u{1B}[33m[1]\u{1B}[0m x\n")
    var plain = LogPrinter(style: terminal, showsRanks: true)
    #expect(text(plain.print(chunk(1, "x\n".utf8))) == "[1] x\n")
  }

  @Test func `a line without end is shown in pieces and not kept for ever`() {
    var printer = LogPrinter(style: .plain, showsRanks: true)
    let size = LogPrinter.maximumLine
    let output = printer.print(chunk(0, repeatElement(UInt8(ascii: "x"), count: 2 * size + 5)))
    #expect(output.count == 2 * (size + 5))
    #expect(text(printer.finish()) == "[0] xxxxx\n")
  }

  @Test func `a new attempt ends the line of the last one`() {
    var printer = LogPrinter(style: .plain, showsRanks: true)
    _ = printer.print(chunk(0, "cut".utf8))
    #expect(text(printer.print(chunk(0, "new\n".utf8, attempt: 2))) == "[0] cut\n[0] new\n")
  }
}
