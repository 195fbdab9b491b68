import IorunCore
import IorunSandbox

/// The sandbox that one rank is to run in.
struct RankSeal: Sendable {
  /// What starts it.
  let driver: any SandboxDriver
  /// All of it but the program and its descriptors.
  var spec: SandboxSpec

  /// Where the supervisor, this program, is inside.
  static let supervisor = "/iorun/program"
  /// Where a rank's working folder is inside.
  static let folder = "/job"
  /// Where the agent's socket is inside.
  static let agentSocket = "/iorun/agent.sock"

  /// Starts the supervisor with `arguments` inside; it ends when the calling thread does.
  func launch(
    _ arguments: [String], output: Int32, inherited: [Int32]
  ) throws -> SandboxProcess {
    var spec = spec
    spec.command = [Self.supervisor] + arguments
    spec.inherited = inherited
    return try driver.launch(spec, streams: SandboxStreams(output: output, errors: output))
  }
}
