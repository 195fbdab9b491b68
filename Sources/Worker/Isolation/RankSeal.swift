import Foundation
import Glibc
import IorunCore
import IorunSandbox

/// The sandbox that one rank is to run in.
struct RankSeal: Sendable {
  /// What starts it.
  let driver: any SandboxDriver
  /// All of it but the program and its descriptors.
  var spec: SandboxSpec
  /// What comes before the supervisor's own arguments.
  var supervisor = [Self.supervisorFile]

  /// Where the supervisor, this program, is inside.
  static let supervisorFile = "/iorun/program"
  /// Where a rank's working folder is inside.
  static let folder = "/job"
  /// Where the agent's socket is inside.
  static let agentSocket = "/iorun/agent.sock"
  /// Where an image's sandbox has this program's libraries.
  private static let libraries = "/iorun/lib"

  /// What an image must have so that it can be a rank's root.
  static let places = ImageUnpacker.Places(
    folders: [
      "proc": 0o555, "dev": 0o755, "sys": 0o755, "tmp": 0o1777, "job": 0o755, "run": 0o755,
      "etc": 0o755,
    ], files: ["etc/hosts", "etc/resolv.conf"], reserved: ["iorun"])

  /// Starts the supervisor with `arguments` inside; it ends when the calling thread does.
  func launch(
    _ arguments: [String], output: Int32, inherited: [Int32]
  ) throws -> SandboxProcess {
    var spec = spec
    spec.command = supervisor + arguments
    spec.inherited = inherited
    return try driver.launch(spec, streams: SandboxStreams(output: output, errors: output))
  }

  /// This program in an image, which has none of its libraries, and may have no dynamic loader: both
  /// are shown below `/iorun`, and the loader is told where they are. One that is linked statically
  /// needs neither.
  static func guest(
    program: String, libraryFolders: [String]
  ) -> (supervisor: [String], binds: [SandboxSpec.Bind]) {
    let shown = libraryFolders.enumerated().map { ($1, "\(libraries)/\($0)") }
    let loader = shown.lazy.flatMap { source, target in
      ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"].map {
        (source + "/" + $0, target + "/" + $0)
      }
    }.first { access($0.0, R_OK) == 0 }
    guard let loader else { return ([supervisorFile], [.init(program, at: supervisorFile)]) }
    return (
      [
        loader.1, "--library-path", shown.map(\.1).joined(separator: ":"), supervisorFile,
      ],
      [.init(program, at: supervisorFile)] + shown.map { .init($0.0, at: $0.1) }
    )
  }
}
