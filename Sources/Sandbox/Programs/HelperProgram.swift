internal import CShim
internal import Foundation
internal import IorunCore

/// Runs a program of the machine's to its end.
public enum HelperProgram {
  /// How a program ended.
  public struct End: Sendable {
    /// Its exit status; 128 and the signal's number where one ended it.
    public var status: Int32
    /// What it printed, at most as much as was asked for.
    public var output: String
    /// What it printed as errors, likewise.
    public var errors: String
  }

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

  /// How long a helper may take: those of scratch and egress take tenths of a second.
  private static let patience = Duration.seconds(120)

  /// Blocks until it ends; returns what it printed.
  ///
  /// - Parameters:
  ///   - network: the network namespace that it runs in; -1: the present one.
  ///   - code: what a failure is.
  /// - Throws: `code` where it is missing, fails or does not end, with what it printed.
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
    let launch = Self.launch(path, arguments, environment, capture.streams, source, network)
    let pid = try launch.start()
    guard let status = wait(pid, within: patience) else {
      throw IorunError(
        code, "\(name) (process \(pid)) does not end, not even by SIGKILL: the kernel holds it",
        remedy: "See whether it waits for a file system whose process is gone (README, "
          + "\"What is not there yet\": fusectl), or start the machine anew")
    }
    let text = try capture.text(limit: 64 << 10)
    guard status == 0 else {
      throw IorunError(code, "\(name) failed (status \(status)): \(text.prefix(400))")
    }
    return text
  }

  /// Runs a program that is asked something, and ends it where it takes too long. Blocks until it is over.
  ///
  /// - Parameters:
  ///   - path: its file.
  ///   - variables: its environment; `nil` for `PATH` alone.
  ///   - limit: the most bytes of what it prints that are returned.
  ///   - time: after it `SIGKILL` comes.
  /// - Throws: `spawnFailed` where it cannot be started.
  public static func ask(
    _ path: String, _ arguments: [String], environment variables: [String: String]? = nil,
    limit: Int = 64 << 10, within time: Duration
  ) throws -> End {
    let (output, errors) = (try SandboxCapture(), try SandboxCapture())
    let streams = SandboxStreams(output: output.streams.output, errors: errors.streams.errors)
    let pid = try launch(path, arguments, variables ?? environment, streams, -1, -1).start()
    let status = wait(pid, within: time) ?? 128 + SIGKILL
    return End(
      status: status, output: try output.text(limit: limit), errors: try errors.text(limit: limit))
  }

  private static let environment = [
    "PATH": InstalledProgram.folders.joined(separator: ":")
  ]

  private static func launch(
    _ path: String, _ arguments: [String], _ variables: [String: String],
    _ streams: SandboxStreams, _ input: Int32, _ network: Int32
  ) -> SandboxLaunch {
    SandboxLaunch(
      path: path, arguments: [path] + arguments, environment: variables, folder: "/",
      streams: SandboxStreams(input: input, output: streams.output, errors: streams.errors),
      network: network, outOfMemoryScore: 0)
  }

  /// Returns the exit status, or 128 and a signal's number; `nil` where after the time not even
  /// `SIGKILL` ended it, as while it waits for a file system that does not answer.
  private static func wait(_ pid: pid_t, within time: Duration) -> Int32? {
    // Readable once the process has ended.
    let descriptor = iorun_pidfd_open(pid)
    defer { if descriptor >= 0 { close(descriptor) } }
    if descriptor >= 0, !isReadable(descriptor, within: time) {
      kill(pid, SIGKILL)
      guard isReadable(descriptor, within: .seconds(2)) else {
        // Whenever the kernel lets it go, it is to leave nothing.
        Thread.detachNewThread {
          var status: Int32 = 0
          while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        }
        return nil
      }
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + (status & 0x7f)
  }

  private static func isReadable(_ descriptor: Int32, within time: Duration) -> Bool {
    let end = ContinuousClock.now + time
    while true {
      var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let left = max(.zero, end - ContinuousClock.now) / .milliseconds(1)
      let result = poll(&event, 1, Int32(min(left.rounded(.up), 1e9)))
      if result < 0, errno == EINTR { continue }
      // What cannot be watched is waited for.
      return result != 0
    }
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
