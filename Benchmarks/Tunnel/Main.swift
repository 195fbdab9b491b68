import ArgumentParser

/// Tunnels beside each other: our own WireGuard, Debian's wireguard-go, and the bare wire.
@main
struct TunnelBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun-tunnel-bench",
    abstract: "Measures WireGuard tunnels between two network namespaces. Needs root.",
    subcommands: [GangCommand.self, HostCommand.self])
}
