internal import ArgumentParser
internal import CSandbox
internal import CShim
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunMesh
internal import IorunPoW
internal import IorunSandbox
internal import Logging

/// The command line's entry. A rank's supervisor is this same binary: it is plain C and must begin
/// before any thread does.
@main
enum Main {
  static func main() async {
    if CommandLine.arguments.dropFirst().first == "__supervise" {
      exit(iorun_supervise(CommandLine.argc, CommandLine.unsafeArgv))
    }
    // What a node tries its sandboxes with.
    if CommandLine.arguments.dropFirst().first == "__canary" {
      exit(iorun_canary(CommandLine.argc, CommandLine.unsafeArgv))
    }
    // What clears a GPU's memory between jobs.
    if CommandLine.arguments.dropFirst().first == GPUScrub.argument {
      exit(GPUScrub.run(CommandLine.arguments))
    }
    // What proves a GPU, for its node's agent.
    if CommandLine.arguments.dropFirst().first == GPUProcess.argument {
      exit(GPUProcess.run(CommandLine.arguments))
    }
    // What unpacks an image, inside a sandbox.
    if CommandLine.arguments.dropFirst().first == ImageSandbox.argument {
      exit(ImageSandbox.run(CommandLine.arguments))
    }
    // The arguments are copied here; what `ps` shows of a ticket is overwritten before anything else.
    let arguments = CommandLine.arguments
    iorun_hide_arguments(Ticket.prefix)
    // A reader that goes away (`iorun logs JOB | head`) must end in an error, not a silent death.
    signal(SIGPIPE, SIG_IGN)
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = logLevel()
      return handler
    }
    do {
      var command = try Iorun.parseAsRoot(Array(arguments.dropFirst()))
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch let error as IorunError {
      report(error)
      exit(ExitStatus(for: error.code).rawValue)
    } catch let error as CocoaError {
      // Foundation's words are for programmers, and --json promises an object.
      let path = (error as NSError).userInfo[NSFilePathErrorKey] as? String
      report(
        IorunError(
          .fileSystem, "cannot use \(path.map { "'\($0)'" } ?? "a file")",
          remedy: "Check the path and its rights", cause: error))
      exit(ExitStatus.error.rawValue)
    } catch is CancellationError {
      exit(ExitStatus.error.rawValue)
    } catch {
      Iorun.exit(withError: error)
    }
  }

  private static func report(_ error: IorunError) {
    let options = CommandLine.arguments.prefix { $0 != "--" }
    if options.contains("--json"), let line = try? JSONOutput.line(ErrorView(error)) {
      Output.write(line)
    } else {
      Output.writeError(ErrorRendering.text(error))
    }
  }

  private static func logLevel() -> Logger.Level {
    let name = ProcessInfo.processInfo.environment["IORUN_LOG"] ?? "notice"
    return Logger.Level(rawValue: name) ?? .notice
  }
}

/// `iorun`.
struct Iorun: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun",
    abstract: "Runs gangs of ranks on rented machines, over an encrypted mesh.",
    discussion: """
      Try it on this machine:
        iorun up
        iorun submit --ranks 3 -- sh -c 'echo rank $RANK of $WORLD_SIZE'
        iorun down
      """,
    version: IorunVersion.release,
    subcommands: [
      Up.self, Down.self, Submit.self, Status.self, Explain.self, Offers.self, Nodes.self,
      Logs.self, Outputs.self, Cancel.self, Exec.self, PortForward.self, Copy.self, List.self,
      Timeline.self,
      HeadCommand.self, Join.self, NodeCommand.self, TicketCommand.self, NetCheckCommand.self,
      Ping.self, RelayCommand.self, Peers.self, Revoke.self, AuthorityCommand.self, Drain.self,
      Undrain.self, QuotaCommand.self, WorkerCommand.self, DoctorCommand.self, PoWCommand.self,
    ])
}
