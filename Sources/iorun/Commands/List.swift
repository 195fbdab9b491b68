internal import ArgumentParser
internal import IorunClient
internal import IorunContract

/// `iorun list`: what there is of runtime jobs.
struct List: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List actors, tasks, objects, workers, placement groups or jobs of programs.")

  @OptionGroup var client: ClientOptions

  @Argument(
    help: "actors, tasks, objects, workers, placement-groups or jobs.",
    transform: { text in
      guard let kind = RuntimeKind(rawValue: text) else {
        let kinds = RuntimeKind.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("'\(text)' is none of \(kinds)")
      }
      return kind
    })
  var kind: RuntimeKind

  @Option(help: "How many to list, from 1 to 10,000.")
  var limit = 100

  func validate() throws {
    if !(1...10_000).contains(limit) {
      throw ValidationError("--limit takes a number from 1 to 10000")
    }
  }

  func run() async throws {
    let listing = try await client.withHead { try await $0.runtime.list(kind, limit: limit) }
    let items = try RuntimeItems(kind, listing)
    Output.write(
      client.json ? try items.json() : items.table(Output.style, now: Output.now))
  }
}
