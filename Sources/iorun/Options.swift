internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore

/// `--state-dir`, which every command takes.
struct StateOptions: ParsableArguments {
  @Option(
    name: .customLong("state-dir"),
    help: "The folder that holds this network's state (default: $IORUN_STATE_DIR or ~/.iorun).",
    completion: .directory)
  var stateDirectory: String?

  var folder: StateFolder { StateFolder(stateDirectory) }
}

/// The options of commands that ask a head.
struct ClientOptions: ParsableArguments {
  @OptionGroup var state: StateOptions

  @Option(
    name: .customLong("head"),
    help: ArgumentHelp(
      "A ticket of the head to ask: @FILE, - for standard input, or its text.",
      discussion: "The default is the head of the state folder. IORUN_HEAD_TICKET works too."))
  var head: String?

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  func connect() async throws -> HeadConnection {
    let given = head ?? ProcessInfo.processInfo.environment["IORUN_HEAD_TICKET"]
    return try await HeadConnection.open(
      state: state.folder, ticket: try given.map(TicketArgument.read))
  }

  /// Runs `body` with a connection that is closed at the end, however it ends.
  func withHead<Result>(_ body: (HeadConnection) async throws -> Result) async throws -> Result {
    let connection = try await connect()
    do {
      let result = try await body(connection)
      await connection.close()
      return result
    } catch {
      await connection.close()
      throw error
    }
  }
}

/// A ticket from the command line, or from where `ps` does not show it.
enum TicketArgument {
  /// `-` reads standard input, `@FILE` a file; anything else is the ticket.
  static func read(_ argument: String) throws -> String {
    if argument == "-" { return readLine() ?? "" }
    guard argument.hasPrefix("@") else { return argument }
    let path = String(argument.dropFirst())
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw IorunError(
        .fileMissing, "cannot read the ticket from \(path)", remedy: "Check the path",
        cause: error)
    }
    guard text.contains(where: { !$0.isWhitespace }) else {
      throw IorunError(
        .ticketInvalid, "the ticket's file \(path) is empty",
        remedy: "Put what `iorun ticket create` printed into it")
    }
    return text
  }
}

/// The path of the running binary.
enum Program {
  static var path: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      ?? CommandLine.arguments[0]
  }
}
