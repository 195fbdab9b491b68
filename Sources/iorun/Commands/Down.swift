internal import ArgumentParser
internal import IorunClient
internal import IorunCore
internal import IorunLocal

/// `iorun down`: stops what `iorun up` started, and nothing else.
struct Down: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stop the head and nodes that `iorun up` started.",
    discussion: "Jobs that run are stopped; what the head has accepted stays in the state folder.")

  @OptionGroup var state: StateOptions

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  func run() async throws {
    let stopped = try await LocalNetwork(state: state.folder, program: Program.path).down()
    if json {
      Output.write(try JSONOutput.line(["stopped": stopped]))
    } else {
      Output.write("stopped: \(stopped.joined(separator: ", "))\n")
    }
  }
}
