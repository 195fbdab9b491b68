import Foundation
import TestSupport

/// A folder of files for `SchedulerBench`, and the program run on them.
final class BenchFiles {
  private let folder: String

  init() throws {
    folder = NSTemporaryDirectory() + "/scheduler-bench-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func write(_ text: String, _ name: String) throws {
    try write(Data(text.utf8), name)
  }

  func write(_ data: Data, _ name: String) throws {
    try data.write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
  }

  /// What a run of the program came to.
  struct Outcome {
    var status: Int32
    var output: String
    var errors: String

    /// The one JSON object that was printed.
    var values: [String: Double] {
      let object = try? JSONSerialization.jsonObject(with: Data(output.utf8))
      return (object as? [String: NSNumber] ?? [:]).mapValues(\.doubleValue)
    }
  }

  /// Runs `SchedulerBench` with the files' folder as its own.
  func run(_ arguments: String...) throws -> Outcome { try run(arguments: arguments) }

  func run(arguments: [String]) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    // Files, so that no pipe can fill while nobody reads it.
    let output = try sink("output")
    let errors = try sink("errors")
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: try text("output"), errors: try text("errors"))
  }

  private func sink(_ name: String) throws -> FileHandle {
    try write(Data(), name)
    return try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/\(name)"))
  }

  private func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
  }

  /// The program that was built beside these tests.
  private static let program = BuiltProgram.path("SchedulerBench")
}
