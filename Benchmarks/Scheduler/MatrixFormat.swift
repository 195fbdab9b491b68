import ArgumentParser
import Foundation
import IorunScheduler

/// The formats in which round trips between all sites are published.
enum MatrixFormat: String, ExpressibleByArgument, CaseIterable {
  /// NetLatency-Data: a row of numbers a line, in milliseconds.
  case netlatencyMilliseconds = "netlatency-ms"
  /// The same in seconds.
  case netlatencySeconds = "netlatency-s"
  /// WonderProxy: (min, avg, max, stddev) for each pair, little-endian 32-bit microseconds.
  case wonderproxy

  func read(_ path: String) throws -> LatencyMatrix {
    let rows: [[Float]]
    switch self {
    case .netlatencyMilliseconds: rows = try numbers(path, scale: 1)
    case .netlatencySeconds: rows = try numbers(path, scale: 1000)
    case .wonderproxy: rows = try pings(path)
    }
    guard let matrix = LatencyMatrix(count: rows.count, milliseconds: rows.flatMap { $0 }) else {
      throw InputError(path, "holds \(rows.count) sites, which is too many")
    }
    return matrix
  }

  /// Between the numbers of a line.
  private static let separators = Array(" \t,;".utf8)

  private func numbers(_ path: String, scale: Float) throws -> [[Float]] {
    let lines = try readLines(path)
    guard !lines.isEmpty else { throw InputError(path, line: 1, "is empty") }
    return try lines.map { number, line in
      let row = try line.utf8.split(whereSeparator: Self.separators.contains).map { bytes in
        let text = Substring(bytes)
        guard let value = Float(text) else {
          throw InputError(path, line: number, "'\(text)' is no number")
        }
        return value * scale
      }
      guard row.count == lines.count else {
        throw InputError(
          path, line: number,
          "has \(row.count) numbers, and the file \(lines.count) lines: this is no square matrix")
      }
      return row
    }
  }

  private func pings(_ path: String) throws -> [[Float]] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw InputError(path, "cannot be read")
    }
    let count = Int((Double(data.count) / 16).squareRoot())
    guard count > 0, count * count * 16 == data.count else {
      throw InputError(
        path,
        "has \(data.count) bytes, and not four numbers of 32 bits for each pair of so many sites")
    }
    let bytes = [UInt8](data)
    return (0..<count).map { row in
      (0..<count).map { column in
        let offset = (row * count + column) * 16 + 4
        let microseconds = (0..<4).reduce(UInt32(0)) {
          $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1)
        }
        return Float(microseconds) / 1000
      }
    }
  }
}
