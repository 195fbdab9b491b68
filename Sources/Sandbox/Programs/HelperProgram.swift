internal import CShim
internal import Foundation
internal import IorunCore

/// Runs a program of the machine's to its end, with an empty environment but `PATH`.
enum HelperProgram {
  /// What a program reads.
  enum Input {
    case nothing
    /// A key: through a pipe, so that it is in no argument, variable or file. At most 4 KiB, which a
    /// pipe holds without a reader.
    case key([UInt8])
    /// Text without secrets, of any length.
    case text(String)
  }

  /// Overwrites a key.
  static func wipe(_ key: inout [UInt8]) {
    key.withUnsafeMutableBytes { bytes in
      if let start = bytes.baseAddress { explicit_bzero(start, bytes.count) }
    }
  }

  /// Blocks until it ends; returns what it printed.
  ///
  /// - Parameters:
  ///   - network: the network namespace that it runs in; -1: the present one.
  ///   - code: what a failure is.
  /// - Throws: `code` where it is missing or fails, with what it printed.
  static func run(
    _ name: String, _ arguments: [String], input: Input = .nothing, network: Int32 = -1,
    failing code: IorunError.Code = .scratchFailed
  ) throws -> String {
    guard let path = InstalledProgram.find(name) else {
      throw IorunError(code, "the program \(name) is missing", remedy: "Install it")
    }
    let capture = try SandboxCapture()
    let source = try input.open(for: name)
    defer { if source >= 0 { close(source) } }
    let launch = SandboxLaunch(
      path: path, arguments: [path] + arguments,
      environment: ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      folder: "/",
      streams: SandboxStreams(
        input: source, output: capture.streams.output, errors: capture.streams.errors),
      network: network, outOfMemoryScore: 0)
    let pid = try launch.start()
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    let text = try capture.text(limit: 64 << 10)
    guard status == 0 else {
      throw IorunError(code, "\(name) failed (status \(status >> 8)): \(text.prefix(400))")
    }
    return text
  }
}

extension HelperProgram.Input {
  /// A descriptor to read it from, or -1 for nothing; the caller closes it.
  func open(for name: String) throws -> Int32 {
    switch self {
    case .nothing: return -1
    case .text(let text):
      let bytes = Array(text.utf8)
      let descriptor = iorun_memory_file(bytes, bytes.count)
      guard descriptor >= 0 else {
        throw IorunError.system("cannot hold in memory", "input of \(name)", errno: -descriptor)
      }
      return descriptor
    case .key(let bytes):
      var pipe: [Int32] = [-1, -1]
      let failure = iorun_pipe(&pipe)
      guard failure == 0, bytes.count <= 4096 else {
        throw IorunError.system("cannot make a pipe to", name, errno: -failure)
      }
      let written = write(pipe[1], bytes, bytes.count)
      close(pipe[1])
      guard written == bytes.count else {
        close(pipe[0])
        throw IorunError(.scratchFailed, "cannot write into a pipe to \(name)")
      }
      return pipe[0]
    }
  }
}
