internal import ArgumentParser
internal import IorunClient

/// `iorun netcheck`: what stands between this machine and the others.
struct NetCheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "netcheck",
    abstract: "Show what stands between this machine and others: NAT, UDP, IPv6, MTU, relays.",
    discussion: """
      Asks the network's relays what they see of this machine. Nothing is changed.
      Two machines with a NAT of kind 'none', 'cone' or 'port-restricted' reach each other \
      directly; of kind 'symmetric' only with luck; with UDP blocked through a relay.
      """)

  @OptionGroup var client: ClientOptions

  func run() async throws {
    let check = try await client.withHead { try await NetCheck.run($0) }
    Output.write(
      client.json
        ? try JSONOutput.line(NetCheckView(check)) : NetCheckRendering.text(check, Output.style))
  }
}
