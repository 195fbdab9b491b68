internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun nodes`: what the network offers.
struct Nodes: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the nodes and what of them is free.")

  @OptionGroup var client: ClientOptions

  @Flag(help: "Show the sites that nodes are in, and how far sites are apart.")
  var sites = false

  func run() async throws {
    if sites { return try await showSites() }
    let (nodes, paths) = try await client.withHead { head in
      (try await head.network.nodes(), try await head.rendezvous.paths())
    }
    let names = Dictionary(nodes.map { ($0.id, $0.facts.name) }) { $1 }
    let ways = PathRendering.text(paths, names: names)
    Output.write(
      client.json
        ? try JSONOutput.line(NodesView(nodes, paths: paths))
        : NodeRendering.table(nodes, now: Output.now).render(Output.style)
          + NodeRendering.reasons(nodes) + (ways.isEmpty ? "" : "\npaths:\n" + ways))
  }

  private func showSites() async throws {
    let (nodes, sites) = try await client.withHead { head in
      (try await head.network.nodes(), try await head.network.sites())
    }
    Output.write(
      client.json
        ? try JSONOutput.line(SitesView(sites, nodes: nodes))
        : PlacementRendering.table(sites, nodes: nodes).render(Output.style))
  }
}
