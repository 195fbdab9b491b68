public import Foundation
public import IorunContract

/// Turns log bytes of several ranks into whole lines, each marked with its rank.
///
/// It returns what to write and writes nothing itself. A pipe or a file gets the bytes as they are;
/// a terminal gets them without control sequences that could harm it.
public struct LogPrinter: Sendable {
  /// Ranks keep at most this much of an unfinished line; a longer one is shown in pieces.
  static let maximumLine = 64 * 1024

  private let style: TerminalStyle
  private let showsRanks: Bool
  private var unfinished: [Source: Data] = [:]

  private struct Source: Hashable, Comparable {
    var attempt: Int
    var rank: Int

    static func < (left: Source, right: Source) -> Bool {
      (left.attempt, left.rank) < (right.attempt, right.rank)
    }
  }

  private static let colours = [36, 33, 32, 35, 34, 31]

  /// Makes a printer; `showsRanks` is false where only one rank is read.
  public init(style: TerminalStyle, showsRanks: Bool) {
    self.style = style
    self.showsRanks = showsRanks
  }

  /// What to write for new bytes: the lines that they finish. The first bytes of a new attempt end
  /// the unfinished line of the rank's last one.
  public mutating func print(_ chunk: LogChunk) -> Data {
    let source = Source(attempt: chunk.cursor.attempt, rank: chunk.cursor.rank)
    var output = Data()
    for old in unfinished.keys.sorted()
    where old.rank == source.rank && old.attempt < source.attempt {
      append(unfinished.removeValue(forKey: old) ?? Data(), of: old.rank, to: &output)
    }
    var rest = unfinished.removeValue(forKey: source) ?? Data()
    rest.append(chunk.bytes)
    var start = rest.startIndex
    while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
      append(rest[start..<end], of: source.rank, to: &output)
      start = rest.index(after: end)
    }
    while rest.endIndex - start > Self.maximumLine {
      append(rest[start..<(start + Self.maximumLine)], of: source.rank, to: &output)
      start += Self.maximumLine
    }
    if start < rest.endIndex { unfinished[source] = Data(rest[start...]) }
    return output
  }

  /// What to write at the end: lines that were never ended.
  public mutating func finish() -> Data {
    var output = Data()
    for (source, line) in unfinished.sorted(by: { $0.key < $1.key }) {
      append(line, of: source.rank, to: &output)
    }
    unfinished = [:]
    return output
  }

  private func append(_ line: Data, of rank: Int, to output: inout Data) {
    if showsRanks {
      let colour = Self.colours[abs(rank % Self.colours.count)]
      let prefix = style.usesColour ? "\u{1B}[\(colour)m[\(rank)]\u{1B}[0m " : "[\(rank)] "
      output.append(contentsOf: prefix.utf8)
    }
    if style.isTerminal {
      let text = String(decoding: line, as: UTF8.self)
      let clean = TerminalText.logLine(text, keepingColour: style.usesColour)
      output.append(contentsOf: clean.utf8)
    } else {
      output.append(line)
    }
    output.append(UInt8(ascii: "\n"))
  }
}
