import ArgumentParser
import Foundation

/// Measures the scheduler's decisions on data of others, beside what was published about them.
@main
struct SchedulerBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "SchedulerBench",
    abstract: "Quality and speed of the scheduler's decisions.",
    discussion: """
      Each command prints a table, or with --json one object on standard output. It ends with 0, or \
      with 2 where flags or files are not what they should be: then standard error says which, with \
      the line of a file.
      """,
    subcommands: [
      OpenB.self, Group.self, Coordinates.self, Scale.self, GangBench.self, Places.self,
      NodeBench.self, Refine.self, Replay.self, RepairBench.self,
    ])

  /// What wrong flags and files end with, as in `iorun`.
  private static let refused: Int32 = 2

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as InputError {
      stop("Error: \(error)")
    } catch {
      // Help is no error.
      guard exitCode(for: error) != .success else { exit(withError: error) }
      stop(fullMessage(for: error))
    }
  }

  private static func stop(_ words: String) -> Never {
    FileHandle.standardError.write(Data("\(words)\n".utf8))
    Foundation.exit(refused)
  }
}
