internal import Foundation

/// A folder for one benchmark, short enough for the path of a Unix socket.
struct TemporaryFolder {
  let path: String

  init() throws {
    path = "/tmp/iorun-bench-\(ProcessInfo.processInfo.processIdentifier)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}
