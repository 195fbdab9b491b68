internal import Foundation
internal import Glibc
internal import IorunCore

/// A process that a benchmark starts and speaks to over pipes. It ends when its stdin does.
struct Child {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()

  var pid: Int32 { process.processIdentifier }

  init(_ program: String, _ arguments: [String]) throws {
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardInput = input
    process.standardOutput = output
    try process.run()
  }

  /// The next line of its stdout, decoded.
  ///
  /// - Throws: `internalFault` where it ends without one.
  func readLine<Value: Decodable>() throws -> Value {
    var line = Data()
    while true {
      let data = output.fileHandleForReading.availableData
      guard !data.isEmpty else {
        throw IorunError(.internalFault, "a process of the benchmark ended early")
      }
      line += data
      if line.last == UInt8(ascii: "\n") { break }
    }
    return try JSONDecoder().decode(Value.self, from: line)
  }

  /// Everything on its stdout, once it has ended.
  ///
  /// - Throws: `internalFault` where it fails.
  func readToEnd() throws -> Data {
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw IorunError(
        .internalFault,
        "`\((process.arguments ?? []).joined(separator: " "))` ended with "
          + "\(process.terminationStatus): \(String(decoding: data, as: UTF8.self))")
    }
    return data
  }

  /// Ends it as a crash would.
  func kill() {
    Glibc.kill(pid, SIGKILL)
    process.waitUntilExit()
  }

  /// Closes its stdin and waits for its end.
  func end() {
    try? input.fileHandleForWriting.close()
    process.waitUntilExit()
  }
}
