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
    guard rows.allSatisfy({ $0.count == rows.count }),
      let matrix = LatencyMatrix(count: rows.count, milliseconds: rows.flatMap { $0 })
    else { throw ValidationError("\(path) is no square matrix") }
    return matrix
  }

  private func numbers(_ path: String, scale: Float) throws -> [[Float]] {
    try readLines(path).map { number, line in
      try line.split(whereSeparator: { $0 == "," || $0.isWhitespace }).map { text in
        guard let value = Float(text) else {
          throw ValidationError("\(path), line \(number): '\(text)' is no number")
        }
        return value * scale
      }
    }
  }

  private func pings(_ path: String) throws -> [[Float]] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ValidationError("cannot read \(path)")
    }
    let count = Int((Double(data.count) / 16).squareRoot())
    guard count * count * 16 == data.count else {
      throw ValidationError("\(path) does not hold four numbers for each pair")
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
