import ArgumentParser
import Foundation

/// A comma-separated file with a header line and no quotes, as the traces have them.
struct CSVTable {
  let columns: [String: Int]
  let rows: [[Substring]]
  private let path: String

  init(_ path: String) throws {
    self.path = path
    let lines = try readLines(path)
    guard let header = lines.first else { throw ValidationError("\(path) is empty") }
    let names = header.split(separator: ",", omittingEmptySubsequences: false)
    columns = Dictionary(
      names.enumerated().map { (String($1), $0) }, uniquingKeysWith: { first, _ in first })
    rows = lines.dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    if let bad = rows.firstIndex(where: { $0.count < names.count }) {
      throw ValidationError("\(path), line \(bad + 2): fewer fields than the header has")
    }
  }

  /// A column's texts; where the file lacks it, `missing` in each row.
  func texts(_ column: String, missing: String? = nil) throws -> [Substring] {
    guard let index = columns[column] else {
      if let missing { return rows.map { _ in Substring(missing) } }
      throw ValidationError("\(path) has no column '\(column)'")
    }
    return rows.map { $0[index] }
  }

  /// A column's numbers.
  func integers(_ column: String) throws -> [Int] {
    try texts(column).enumerated().map { row, text in
      guard let value = Int(text) else {
        throw ValidationError("\(path), line \(row + 2): '\(text)' in '\(column)' is no integer")
      }
      return value
    }
  }
}

/// The lines of a text file that are not empty.
func readLines(_ path: String) throws -> [Substring] {
  guard let data = FileManager.default.contents(atPath: path) else {
    throw ValidationError("cannot read \(path)")
  }
  return String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline)
}
