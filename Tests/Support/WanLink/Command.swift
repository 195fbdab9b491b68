import Dispatch
import Foundation

/// A short command that is run to its end, for test support.
enum Command {
  /// What a command printed, on both streams, and its exit status.
  struct Result: Sendable {
    var status: Int32
    var output: String
  }

  /// Runs a command of `PATH`, at most 20 seconds long.
  static func run(_ words: [String]) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      // Blocking, so not on the cooperative pool.
      DispatchQueue.global().async {
        continuation.resume(with: Swift.Result { try runBlocking(words) })
      }
    }
  }

  private static func runBlocking(_ words: [String]) throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["timeout", "-k", "1", "20"] + words
    let pipe = Pipe()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
  }
}
