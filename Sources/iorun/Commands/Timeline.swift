internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun timeline`: which task ran where, from when to when.
struct Timeline: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: """
      Write what tasks of programs that run now ran where and when, for chrome://tracing or \
      ui.perfetto.dev.
      """)

  @OptionGroup var client: ClientOptions

  @Option(name: .shortAndLong, help: "The file to write (default: standard output).")
  var output: String?

  func run() async throws {
    let listing = try await client.withHead { try await $0.runtime.list(.tasks, limit: 10_000) }
    let text = try RuntimeItems(.tasks, listing).chromeTraceText(now: Output.now)
    guard let output else { return Output.write(text) }
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: output), options: .atomic)
    } catch {
      throw IorunError(
        .fileSystem, "cannot write \(output)", remedy: "Check the path and its rights",
        cause: error)
    }
    Output.write(
      client.json
        ? try JSONOutput.line(["output": output])
        : "timeline of \(listing.items.count) tasks in \(output)"
          + "\(listing.truncated ? " (there were more)" : "")\n")
  }
}
