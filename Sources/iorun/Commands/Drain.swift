internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun drain`: a node gets no new work.
struct Drain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give a node no new work; what runs there goes on.",
    discussion: "It stays drained over restarts of the node and the head, until `iorun undrain`.")

  @OptionGroup var client: ClientOptions

  @Argument(help: "The node: its name, its id or the start of it.")
  var node: String

  func run() async throws { try await Self.set(true, node, client) }

  static func set(_ isDrained: Bool, _ node: String, _ client: ClientOptions) async throws {
    let status = try await client.withHead { head in
      try await head.network.drain(node, isDrained: isDrained)
    }
    let text =
      isDrained
      ? "\(status.facts.name) gets no new work; it holds \(status.leases) "
        + (status.leases == 1 ? "rank" : "ranks")
      : "\(status.facts.name) gets work again"
    Output.write(client.json ? try JSONOutput.line(NodeView(status)) : text + "\n")
  }
}

/// `iorun undrain`: a drained node gets work again.
struct Undrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Give a drained node work again.")

  @OptionGroup var client: ClientOptions

  @Argument(help: "The node: its name, its id or the start of it.")
  var node: String

  func run() async throws { try await Drain.set(false, node, client) }
}
