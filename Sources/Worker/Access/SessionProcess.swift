import CShim
import Foundation
import Glibc
import IorunContract
import IorunCore
import IorunSandbox
import Synchronization

/// A command that a person runs beside a rank, under a supervisor of its own: nothing of its tree
/// outlives it, this process, or an order to stop.
final class SessionProcess: Sendable {
  /// The command's input: a pipe, or the terminal.
  let input: Descriptor
  /// Its output: a pipe, or the terminal.
  let output: Descriptor
  /// Its standard error; `nil` where the terminal takes it.
  let errors: Descriptor?
  /// True where it has a terminal.
  let hasTerminal: Bool
  private let channel: Descriptor
  private let supervisor: pid_t
  private let command: String
  private let launch: RankProcess.Launch

  /// Starts the supervisor, which starts the command. Blocks until the supervisor runs. Throws
  /// `spawnFailed`, `specInvalid`.
  static func start(
    _ execution: Execution, beside launch: RankProcess.Launch, in namespaces: RankNamespaces,
    box: SandboxProcess?
  ) throws -> SessionProcess {
    let words = execution.command + execution.environment.flatMap { [$0.key, $0.value] }
    guard execution.command.first?.isEmpty == false, execution.environment.count <= 64,
      !words.contains(where: { $0.utf8.contains(0) }),
      !execution.environment.keys.contains(where: { $0.isEmpty || $0.contains("=") })
    else {
      throw IorunError(
        .specInvalid, "the command or its environment is not plain text",
        remedy: "Give a program and its arguments")
    }
    let variables = launch.environment.merging(execution.environment) { $1 }
    var text: [UInt8] = []
    for (name, value) in variables.sorted(by: { $0.key < $1.key }) {
      text += Array("\(name)=\(value)".utf8) + [0]
    }
    let pipes = SessionPipes()
    do {
      try pipes.open(terminal: execution.terminal, environment: text)
      var pid: pid_t = 0
      if let box {
        let milliseconds = Int(launch.leftoverGrace / .milliseconds(1))
        pid = try box.enter(
          (launch.seal?.supervisor ?? [RankSeal.supervisorFile])
            + ["__supervise", "\(milliseconds)"] + execution.command,
          environment: RankProcess.supervisorEnvironment, folder: launch.folder,
          streams: SandboxStreams(
            input: pipes.theirInput, output: pipes.theirOutput, errors: pipes.theirErrors),
          inherited: [pipes.theirChannel, pipes.variables])
      } else {
        let failure = spawn(execution.command, launch, pipes, namespaces, &pid)
        guard failure == 0 else { throw SessionPipes.failure(failure) }
      }
      pipes.closeTheirs()
      return try SessionProcess(pipes, pid, execution, launch)
    } catch {
      pipes.closeAll()
      throw error
    }
  }

  private init(
    _ pipes: SessionPipes, _ pid: pid_t, _ execution: Execution, _ launch: RankProcess.Launch
  ) throws {
    hasTerminal = execution.terminal != nil
    command = execution.command.first ?? ""
    self.launch = launch
    supervisor = pid
    // Should one of these fail, the channel's end ends the command.
    channel = try Descriptor(adopting: pipes.take(\.channel))
    output = try Descriptor(adopting: pipes.take(\.output))
    errors = hasTerminal ? nil : try Descriptor(adopting: pipes.take(\.errors))
    input = hasTerminal ? output : try Descriptor(adopting: pipes.take(\.input))
  }

  /// Sends a signal to the command and its process group.
  func signal(_ number: Int32) {
    order(UInt8(iorun_control_signal) | UInt8(clamping: number) & 0x7F)
  }

  /// Tells the terminal's programs its size.
  func resize(_ size: TerminalSize) {
    if hasTerminal { iorun_terminal_resize(output.number, Int32(size.rows), Int32(size.columns)) }
  }

  /// Asks all of the tree to end.
  func terminate() { order(UInt8(iorun_control_terminate)) }

  /// Ends all of the tree.
  func kill() { order(UInt8(iorun_control_kill)) }

  /// Waits until nothing of the tree is left, and says how the command ended. Once.
  func end() async -> ExecRecord {
    let size = MemoryLayout<iorun_record>.size
    // Not to be cancelled: it ends with the tree, and the tree ends when it is told to.
    let bytes = await Task { [channel] in
      var bytes: [UInt8] = []
      while let part = try? await channel.read(upTo: 4 * size) { bytes += part }
      return bytes
    }.value
    let pid = supervisor
    _ = try? await Blocking.run {
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    }
    var last: iorun_record?
    for start in stride(from: 0, through: bytes.count - size, by: size) {
      let record = bytes.withUnsafeBytes {
        $0.loadUnaligned(fromByteOffset: start, as: iorun_record.self)
      }
      if record.kind != iorun_record_started { last = record }
    }
    switch last.map({ Int($0.kind) }) {
    case Int(iorun_record_exited): return .exited(last?.value ?? 0)
    case Int(iorun_record_signalled): return .signalled(last?.value ?? SIGKILL)
    case Int(iorun_record_not_started):
      return .notStarted(
        StartFailure.reason(
          last?.value ?? 0, command: command, folder: launch.folder,
          searchPath: launch.environment["PATH", default: "not set"]))
    default: return .signalled(SIGKILL)
    }
  }

  private func order(_ byte: UInt8) { _ = iorun_send_byte(channel.number, byte) }

  /// Returns 0 or an errno.
  private static func spawn(
    _ command: [String], _ launch: RankProcess.Launch, _ pipes: SessionPipes,
    _ namespaces: RankNamespaces, _ pid: inout pid_t
  ) -> Int32 {
    let milliseconds = launch.leftoverGrace / .milliseconds(1)
    let arguments = ["iorun", "__supervise", String(Int(milliseconds))] + command
    let environment = RankProcess.supervisorEnvironment.map { "\($0.key)=\($0.value)" }
    var streams = iorun_streams(
      input: pipes.theirInput, output: pipes.theirOutput, errors: pipes.theirErrors,
      network: namespaces.network, mounts: namespaces.mounts)
    let inherited = [pipes.theirChannel, pipes.variables]
    return withCStrings(arguments) { argv in
      withCStrings(environment) { envp in
        iorun_spawn_with(
          launch.supervisor, argv, envp, launch.folder, &streams, inherited,
          Int32(inherited.count), &pid)
      }
    }
  }
}

/// The descriptors of a session while it is being started.
private final class SessionPipes {
  var input: Int32 = -1
  var output: Int32 = -1
  var errors: Int32 = -1
  var channel: Int32 = -1
  private(set) var theirInput: Int32 = -1
  private(set) var theirOutput: Int32 = -1
  private(set) var theirErrors: Int32 = -1
  private(set) var theirChannel: Int32 = -1
  private(set) var variables: Int32 = -1

  func open(terminal: TerminalSize?, environment: [UInt8]) throws {
    variables = iorun_memory_file(environment, environment.count)
    guard variables >= 0 else { throw Self.failure(-variables) }
    (channel, theirChannel) = try pair(iorun_socket_pair)
    if let terminal {
      (output, theirInput) = try pair {
        iorun_terminal_open(Int32(terminal.rows), Int32(terminal.columns), $0)
      }
      (theirOutput, theirErrors) = (theirInput, theirInput)
    } else {
      (theirInput, input) = try pair(iorun_pipe)
      (output, theirOutput) = try pair(iorun_pipe)
      (errors, theirErrors) = try pair(iorun_pipe)
    }
  }

  private func pair(_ open: (UnsafeMutablePointer<Int32>) -> Int32) throws -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    let failure = open(&ends)
    guard failure == 0 else { throw Self.failure(-failure) }
    return (ends[0], ends[1])
  }

  /// Hands a descriptor on.
  func take(_ end: ReferenceWritableKeyPath<SessionPipes, Int32>) -> Int32 {
    defer { self[keyPath: end] = -1 }
    return self[keyPath: end]
  }

  func closeTheirs() {
    for end in Set([theirInput, theirOutput, theirErrors, theirChannel, variables]) where end >= 0 {
      close(end)
    }
    (theirInput, theirOutput, theirErrors, theirChannel, variables) = (-1, -1, -1, -1, -1)
  }

  func closeAll() {
    closeTheirs()
    for end in [input, output, errors, channel] where end >= 0 { close(end) }
    (input, output, errors, channel) = (-1, -1, -1, -1)
  }

  static func failure(_ number: Int32) -> IorunError {
    IorunError(
      .spawnFailed, "the command could not be started: \(String(cString: strerror(number)))",
      remedy: "Check the node's process and memory limits")
  }
}
