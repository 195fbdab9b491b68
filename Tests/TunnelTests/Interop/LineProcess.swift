import Foundation
import Glibc

/// A process that answers a line with a line.
final class LineProcess: @unchecked Sendable {
  // Proof of sendability: `buffer` is touched on `queue` only, the rest does not change.
  struct Ended: Error {}

  let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var buffer: [UInt8] = []
  private let queue = DispatchQueue(label: "lines")

  init(_ words: [String], environment: [String: String] = [:]) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    _ = fcntl(input.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try? output.fileHandleForWriting.close()
    try? input.fileHandleForReading.close()
  }

  /// Writes a line and reads the next one.
  @discardableResult
  func ask(_ line: String) async throws -> String {
    try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    return try await nextLine()
  }

  /// Reads a line; throws where there is none within 20 seconds.
  func nextLine() async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try self.readLine() }) }
    }
  }

  private func readLine() throws -> String {
    let descriptor = output.fileHandleForReading.fileDescriptor
    while true {
      if let end = buffer.firstIndex(of: 10) {
        defer { buffer.removeFirst(end + 1) }
        return String(decoding: buffer[..<end], as: UTF8.self)
      }
      var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&polled, 1, 20_000) > 0 else { throw Ended() }
      var some = [UInt8](repeating: 0, count: 4096)
      let count = read(descriptor, &some, some.count)
      guard count > 0 else { throw Ended() }
      buffer += some[..<count]
    }
  }

  func end() {
    process.terminate()
    try? input.fileHandleForWriting.close()
  }
}
