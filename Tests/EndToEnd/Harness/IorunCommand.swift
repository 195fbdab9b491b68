import Foundation
import Synchronization
import Testing

/// What a command printed and how it ended.
struct CommandResult: CustomStringConvertible, Sendable {
  var arguments: [String]
  /// The exit status, or 128 + the signal.
  var status: Int32
  var output: String
  var errors: String
  var elapsed: Duration

  /// The lines of standard output.
  var lines: [String] { output.split(separator: "\n").map(String.init) }

  /// The last line of standard output as a JSON object.
  func json(_ place: SourceLocation = #_sourceLocation) throws -> [String: Any] {
    let line = try #require(lines.last, "no output: \(self)", sourceLocation: place)
    let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
    return try #require(value as? [String: Any], "no object: \(self)", sourceLocation: place)
  }

  var description: String {
    """
    \(arguments.joined(separator: " ")) -> \(status) after \(elapsed)
    -- stdout
    \(output.suffix(4000))
    -- stderr
    \(errors.suffix(4000))
    """
  }
}

/// A program that runs, with its output in files, so that what it leaves running holds no pipe.
final class RunningCommand: Sendable {
  /// Thrown where the program did not end in time; it is killed.
  struct DeadlinePassed: Error, CustomStringConvertible {
    var description: String
  }

  let arguments: [String]
  let pid: pid_t
  private let ending = Mutex<Int32?>(nil)
  private let outputPath: String
  private let errorPath: String
  private let started = ContinuousClock.now

  /// Starts a program. `scratch` is a folder for its output.
  init(
    _ program: String, _ arguments: [String], scratch: String,
    environment: [String: String] = [:], input: String? = nil, directory: String? = nil
  ) throws {
    self.arguments = [URL(fileURLWithPath: program).lastPathComponent] + arguments
    let name = scratch + "/command-" + UUID().uuidString.prefix(8)
    outputPath = name + ".out"
    errorPath = name + ".err"
    try Data((input ?? "").utf8).write(to: URL(fileURLWithPath: name + ".in"))
    var inherited = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("IORUN_") }
    inherited.merge(environment) { $1 }
    pid = try Spawn.start(
      program, arguments, environment: inherited, directory: directory ?? "/",
      input: name + ".in", output: outputPath, errors: errorPath)
  }

  var isRunning: Bool { status == nil }

  /// The exit status, or 128 + the signal; `nil` while it runs.
  private var status: Int32? {
    ending.withLock { ending in
      if ending == nil { ending = Spawn.status(of: pid) }
      return ending
    }
  }

  /// What it has printed so far.
  var output: String { Self.text(outputPath) }
  var errors: String { Self.text(errorPath) }

  /// Sends it a signal.
  func signal(_ number: Int32) { if isRunning { kill(pid, number) } }

  /// Waits for its end.
  ///
  /// - Throws: `DeadlinePassed`, with what it printed; it is killed then.
  func finish(within limit: Duration = .seconds(40)) async throws -> CommandResult {
    let deadline = ContinuousClock.now + limit * patience
    while true {
      if let status { return result(status: status) }
      guard ContinuousClock.now < deadline else {
        kill(pid, SIGKILL)
        throw DeadlinePassed(
          description: "not ended within \(limit * patience): \(result(status: -1))")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  /// Waits until it has printed `text` to either stream.
  ///
  /// - Throws: `NeverHappened` at the deadline, or as soon as it has ended without.
  func prints(_ text: String, within limit: Duration = .seconds(40)) async throws {
    try await eventually("\(arguments) prints '\(text)'", within: limit) {
      let ended = self.status
      if self.output.contains(text) || self.errors.contains(text) { return true }
      if let ended {
        throw NeverHappened(
          description: "it ended without '\(text)': \(self.result(status: ended))")
      }
      return false
    } detail: {
      "\(self.result(status: -1))"
    }
  }

  private func result(status: Int32) -> CommandResult {
    CommandResult(
      arguments: arguments, status: status, output: output, errors: errors,
      elapsed: ContinuousClock.now - started)
  }

  private static func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }
}

/// Limits are meant for a quiet machine. They end tests that hang and measure nothing, so a busy machine
/// gets three times as long.
let patience = 3

/// Thrown where a condition did not come true in time.
struct NeverHappened: Error, CustomStringConvertible {
  var description: String
}

/// Polls a condition until it is true.
///
/// - Throws: `NeverHappened` at the deadline, with `detail`.
func eventually(
  _ what: String, within limit: Duration = .seconds(20),
  _ condition: () async throws -> Bool, detail: () async -> String = { "" }
) async throws {
  let deadline = ContinuousClock.now + limit * patience
  while try await !condition() {
    guard ContinuousClock.now < deadline else {
      throw NeverHappened(
        description: "never within \(limit * patience): \(what)\n\(await detail())")
    }
    try await Task.sleep(for: .milliseconds(20))
  }
}
