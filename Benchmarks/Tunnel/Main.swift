import ArgumentParser

/// Tunnels beside each other: our own WireGuard, Debian's wireguard-go, and the bare wire.
@main
struct TunnelBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun-tunnel-bench",
    abstract: "Measures WireGuard tunnels between two network namespaces. Needs root.",
    subcommands: [
      CompareCommand.self, GangCommand.self, HostCommand.self, ServeCommand.self,
      StreamCommand.self, RoundTripCommand.self,
    ], defaultSubcommand: CompareCommand.self)
}
