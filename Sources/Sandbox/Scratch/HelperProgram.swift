internal import CShim
internal import Foundation
internal import IorunCore

/// Runs a program of the machine's to its end: with an empty environment but `PATH`, and what it is to
/// read through a pipe, so that a key is in no argument, variable or file.
enum HelperProgram {
  /// Where a program is; `nil` where it is not installed.
  static func find(_ name: String) -> String? {
    ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/local/bin/"].map { $0 + name }
      .first { (path: String) in access(path, X_OK) == 0 }
  }

  /// Overwrites a key.
  static func wipe(_ key: inout [UInt8]) {
    key.withUnsafeMutableBytes { bytes in
      if let start = bytes.baseAddress { explicit_bzero(start, bytes.count) }
    }
  }

  /// Blocks until it ends; returns what it printed.
  ///
  /// - Parameter input: at most 4 KiB, which a pipe holds without a reader.
  /// - Throws: `scratchFailed` where it is missing or fails, with what it printed.
  static func run(_ name: String, _ arguments: [String], input: [UInt8] = []) throws -> String {
    guard let path = find(name) else {
      throw IorunError(.scratchFailed, "the program \(name) is missing", remedy: "Install it")
    }
    let capture = try SandboxCapture()
    var pipe: [Int32] = [-1, -1]
    let failure = iorun_pipe(&pipe)
    guard failure == 0, input.count <= 4096 else {
      throw IorunError.system("cannot make a pipe to", name, errno: -failure)
    }
    let written = write(pipe[1], input, input.count)
    close(pipe[1])
    defer { close(pipe[0]) }
    guard written == input.count else {
      throw IorunError(.scratchFailed, "cannot write into a pipe to \(name)")
    }
    let launch = SandboxLaunch(
      path: path, arguments: [path] + arguments,
      environment: ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      folder: "/",
      streams: SandboxStreams(
        input: pipe[0], output: capture.streams.output, errors: capture.streams.errors),
      outOfMemoryScore: 0)
    let pid = try launch.start()
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    let text = try capture.text(limit: 4096)
    guard status == 0 else {
      throw IorunError(
        .scratchFailed, "\(name) failed (status \(status >> 8)): \(text.prefix(400))")
    }
    return text
  }
}
