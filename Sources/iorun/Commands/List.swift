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

  /// The most that the head lists at once.
  private static let most = 10_000

  @Option(help: "How many to list, from 1 to 10,000.")
  var limit = 100

  @Option(
    name: .customLong("filter"),
    help: "Only items whose KEY (as in --json) is VALUE, or is not: KEY=VALUE, KEY!=VALUE.")
  var filters: [String] = []

  func validate() throws {
    if !(1...Self.most).contains(limit) {
      throw ValidationError("--limit takes a number from 1 to 10000")
    }
  }

  func run() async throws {
    let filters = try filters.map { try ItemFilter($0) }
    // What is filtered out does not count.
    let most = filters.isEmpty ? limit : Self.most
    let listing = try await client.withHead { try await $0.runtime.list(kind, limit: most) }
    let items = try RuntimeItems(kind, listing, filters: filters, limit: limit)
    Output.write(
      client.json ? try items.json() : items.table(Output.style, now: Output.now))
  }
}
