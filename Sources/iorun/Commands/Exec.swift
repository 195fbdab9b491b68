internal import ArgumentParser
internal import Dispatch
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore
internal import Synchronization

/// `iorun exec`: a command beside a running rank.
struct Exec: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a command beside a running rank, or a shell with -it.",
    discussion: """
      The command runs in the rank's working folder, with its environment and in its network, and \
      ends with the rank at the latest, or when this command is gone. Its exit status is this \
      one's; 127 where it could not be started, 128 + N where signal N ended it. Only the job's \
      owner may, peers of its tenant, and operators; the job's history keeps the visits of others \
      than the owner.

        iorun exec train -- nvidia-smi
        iorun exec train:3 -it -- bash
        tar c data | iorun exec train -i -- tar x
      """)

  @OptionGroup var client: ClientOptions

  @Flag(name: .short, help: "Hand standard input on to the command.")
  var input = false

  @Flag(name: .short, help: "Give the command a terminal: this one, with its size and keys.")
  var terminal = false

  @Argument(
    help: "JOB for rank 0, or JOB:RANK. A job is its id, the start of its id, or its name.",
    completion: JobCompletion.running)
  var rank: String

  @Argument(
    parsing: .postTerminator, help: "The command and its arguments, after -- (default: /bin/sh).")
  var command: [String] = []

  func run() async throws {
    let reference = try RankReference(rank)
    let passesInput = input
    let size = RawTerminal.size(of: STDIN_FILENO) ?? RawTerminal.size(of: STDOUT_FILENO)
    let execution = Execution(
      command: command.isEmpty ? ["/bin/sh"] : command,
      environment: terminal ? Self.terminalEnvironment() : [:],
      terminal: terminal ? size ?? TerminalSize(rows: 24, columns: 80) : nil)
    let status = try await client.withHead { head in
      let rank = try await RankConnection.open(reference, at: head)
      do {
        let status = try await Self.run(execution, passesInput: passesInput, on: rank)
        await rank.close()
        return status
      } catch {
        await rank.close()
        throw error
      }
    }
    Foundation.exit(status)
  }

  /// What programs on a terminal want to know of it.
  private static func terminalEnvironment() -> [String: String] {
    let here = ProcessInfo.processInfo.environment
    var variables = ["TERM": here["TERM"] ?? "xterm-256color"]
    variables["COLORTERM"] = here["COLORTERM"]
    return variables
  }

  private static func run(
    _ execution: Execution, passesInput: Bool, on rank: RankConnection
  ) async throws -> Int32 {
    let stream = try await rank.open(.execute(execution))
    let session = ExecSession(stream)
    let isRaw = execution.terminal != nil && passesInput && isatty(STDIN_FILENO) == 1
    let raw = isRaw ? try RawTerminal(STDIN_FILENO) : nil
    let listening = listen(session, isRaw: isRaw, hasTerminal: execution.terminal != nil)
    defer {
      for source in listening { source.cancel() }
      raw?.restore()
    }
    let input = passesInput ? StandardInput() : nil
    let end = try await session.run {
      await input?.next()
    } output: { bytes, isError in
      try await Blocking.run {
        let handle = isError ? FileHandle.standardError : FileHandle.standardOutput
        try handle.write(contentsOf: Data(bytes))
      }
    }
    switch end {
    case .exited(let status): return status
    case .signalled(let number): return 128 + number
    case .notStarted(let reason):
      raw?.restore()
      Output.writeError("error: \(reason)\n")
      return 127
    default: return 1
    }
  }

  /// Hands signals of this process on. On a raw terminal keys are no signals. Whoever ends this
  /// process means this process, where the command has a terminal: a shell there ignores `SIGTERM`.
  private static func listen(
    _ session: ExecSession, isRaw: Bool, hasTerminal: Bool
  ) -> [any DispatchSourceSignal] {
    let count = Interrupts()
    let keys = isRaw ? [] : [SIGINT, SIGQUIT]
    let ends = hasTerminal ? [] : [SIGTERM, SIGHUP]
    return ([SIGWINCH] + keys + ends).map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        if number == SIGWINCH {
          if let size = RawTerminal.size(of: STDIN_FILENO) { session.resize(size) }
          return
        }
        session.signal(number)
        // Whoever insists wants to be rid of a command that does not listen.
        if count.next() >= 3 { Foundation.exit(128 + number) }
      }
      source.resume()
      return source
    }
  }
}

/// How often somebody has asked for the end.
private final class Interrupts: Sendable {
  private let count = Mutex(0)

  func next() -> Int {
    count.withLock { count in
      count += 1
      return count
    }
  }
}
