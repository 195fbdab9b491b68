internal import ArgumentParser
internal import IorunClient
internal import IorunContract

/// `iorun nodes`: what the network offers.
struct Nodes: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the nodes and what of them is free.")

  @OptionGroup var client: ClientOptions

  func run() async throws {
    let nodes = try await client.withHead { try await $0.network.nodes() }
    Output.write(
      client.json
        ? try JSONOutput.line(NodesView(nodes))
        : NodeRendering.table(nodes, now: Output.now).render(Output.style)
          + NodeRendering.reasons(nodes))
  }
}
