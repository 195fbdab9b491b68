import Foundation

/// A comma-separated file with a header line, as the traces have them. Taken as meant: line ends of
/// either kind, a byte order mark, spaces around fields, quotes around a whole field, headers in any
/// case, more columns than are needed in any order, and fields that a line leaves out at its end.
struct CSVTable {
  let columns: [String: Int]
  let rows: [[Substring]]
  private let lines: [Int]
  private let path: String

  init(_ path: String) throws {
    self.path = path
    let lines = try readLines(path)
    guard let header = lines.first else {
      throw InputError(path, line: 1, "is empty, and has no header")
    }
    let names = Self.fields(header.text)
    columns = Dictionary(
      names.enumerated().map { ($1.lowercased(), $0) }, uniquingKeysWith: { first, _ in first })
    self.lines = lines.dropFirst().map(\.number)
    rows = lines.dropFirst().map { line in
      let fields = Self.fields(line.text)
      return fields + repeatElement("", count: max(0, names.count - fields.count))
    }
  }

  private static func fields(_ line: Substring) -> [Substring] {
    line.split(separator: ",", omittingEmptySubsequences: false).map { field in
      var field = field.trimmed
      if field.count >= 2, field.first == "\"", field.last == "\"" {
        field = field.dropFirst().dropLast().trimmed
      }
      return field
    }
  }

  /// Where a row stands in the file; the first line is 1.
  func line(_ row: Int) -> Int { lines[row] }

  /// A column's texts; where the file lacks it, `missing` in each row.
  func texts(_ column: String, missing: String? = nil) throws -> [Substring] {
    guard let index = columns[column] else {
      if let missing { return rows.map { _ in Substring(missing) } }
      let known = columns.sorted { $0.value < $1.value }.map(\.key).joined(separator: ", ")
      throw InputError(path, line: 1, "has no column '\(column)'; it has \(known)")
    }
    return rows.map { $0[index] }
  }

  /// A column's whole numbers, also where they are written `4.0`.
  ///
  /// - Parameter missing: what an empty field stands for; `nil` where there must be one.
  func integers(_ column: String, missing: Int? = nil) throws -> [Int] {
    try texts(column, missing: missing.map { "\($0)" }).enumerated().map { row, text in
      if text.isEmpty, let missing { return missing }
      guard let value = Int(text) ?? Double(text).flatMap(Int.init(exactly:)) else {
        throw InputError(path, line: line(row), "'\(text)' in '\(column)' is no integer")
      }
      return value
    }
  }
}

extension Substring {
  /// Without white space at its ends.
  var trimmed: Substring {
    var text = self.drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text = text.dropLast() }
    return text
  }
}

/// The lines of a text file that are not empty, with their numbers from 1. They end as on any system.
func readLines(_ path: String) throws -> [(number: Int, text: Substring)] {
  guard let data = FileManager.default.contents(atPath: path) else {
    throw InputError(path, "cannot be read")
  }
  // Bytes, not characters: traces have millions of lines.
  let (feed, carriage) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))
  return data.withUnsafeBytes { bytes in
    var lines: [(number: Int, text: Substring)] = []
    var start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    var number = 1
    while start < bytes.count {
      var end = start
      while end < bytes.count, bytes[end] != feed, bytes[end] != carriage { end += 1 }
      let text = String(decoding: bytes[start..<end], as: UTF8.self)
      if !text.allSatisfy(\.isWhitespace) { lines.append((number, text[...])) }
      let isPair = end + 1 < bytes.count && bytes[end] == carriage && bytes[end + 1] == feed
      start = end + (isPair ? 2 : 1)
      number += 1
    }
    return lines
  }
}
