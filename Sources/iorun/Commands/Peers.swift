internal import ArgumentParser
internal import IorunClient
internal import IorunContract

/// `iorun peers`: who is admitted.
struct Peers: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the peers that were ever admitted, the newest first.")

  @OptionGroup var client: ClientOptions

  func run() async throws {
    let peers = try await client.withHead { try await $0.network.peers() }
    Output.write(
      client.json
        ? try JSONOutput.line(PeersView(peers))
        : PeerRendering.table(peers, now: Output.now).render(Output.style))
  }
}

/// `iorun revoke`: ends a peer's membership.
struct Revoke: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "End a peer's membership, at once and for good.",
    discussion: """
      Its connections end, its certificate is worthless, and every node hears of it within seconds. \
      What a node of it runs counts as lost. It can come back with a new ticket and a new key only.
      """)

  @OptionGroup var client: ClientOptions

  @Argument(help: "The peer: its id, the start of it, or its name, as `iorun peers` shows them.")
  var peer: String

  func run() async throws {
    let revoked = try await client.withHead { try await $0.network.revokePeer(peer) }
    Output.write(
      client.json
        ? try JSONOutput.line(PeerView(revoked))
        : "revoked \(revoked.name) (\(revoked.id))\n")
  }
}
