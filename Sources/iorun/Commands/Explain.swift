internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun explain`: why a job is where it is, or why it waits.
struct Explain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say why a job is where it is, or why it waits.",
    discussion: """
      Of a job that waits: how many nodes were seen, what each lacks, and the nearest change with \
      which it would be placed. Of one that was placed: its nodes, their sites, and the longest \
      round trip between them.
      """)

  @OptionGroup var client: ClientOptions

  @Argument(help: "A job: its id, the start of its id, or its name.")
  var job: String

  func run() async throws {
    let explanation = try await client.withHead { head in
      try await head.placer.explain(try await head.job(job).id)
    }
    Output.write(
      client.json
        ? try JSONOutput.line(ExplanationView(explanation))
        : PlacementRendering.explanation(explanation))
  }
}
