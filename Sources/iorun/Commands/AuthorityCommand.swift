internal import ArgumentParser
internal import IorunClient
internal import IorunContract

/// `iorun authority`: the keys that sign certificates.
struct AuthorityCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "authority", abstract: "Show and replace the key that signs certificates.",
    subcommands: [Show.self, Rotate.self])

  /// `iorun authority show`.
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the authority's keys, the oldest first.")

    @OptionGroup var client: ClientOptions

    func run() async throws {
      let keys = try await client.withHead { try await $0.network.authorities() }
      try AuthorityCommand.write(keys, client)
    }
  }

  /// `iorun authority rotate`.
  struct Rotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Sign with a new key from now on.",
      discussion: """
        The old key endorses the new one, and its certificates stay good until they end, within a \
        day; peers that are connected renew theirs within seconds. If the old key may be in other \
        hands, use --at-once.
        """)

    @OptionGroup var client: ClientOptions

    @Flag(name: .customLong("at-once"), help: "Certificates of the old key end now.")
    var atOnce = false

    func run() async throws {
      let keys = try await client.withHead { try await $0.network.rotateAuthority(atOnce: atOnce) }
      try AuthorityCommand.write(keys, client)
    }
  }

  private static func write(_ keys: [AuthorityStatus], _ client: ClientOptions) throws {
    Output.write(
      client.json
        ? try JSONOutput.line(AuthoritiesView(keys))
        : PeerRendering.table(keys, now: Output.now).render(Output.style))
  }
}
