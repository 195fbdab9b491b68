public import IorunCore
public import IorunTunnel

/// Finds out what this machine can do for the networks of gangs.
public struct DataPlaneProbe: Sendable {
  /// What was found.
  public struct Finding: Sendable {
    /// What makes the tunnels; `nil` where gangs get no networks here.
    public var backend: (any TunnelBackend)?
    /// The same for the head.
    public var facts: NodeFacts.DataPlane
  }

  private let backends: [any TunnelBackend]

  /// Tries these, the best first.
  public init(backends: [any TunnelBackend] = Self.standard) { self.backends = backends }

  /// Every backend, the best for this machine first.
  public static var standard: [any TunnelBackend] { ranked(on: ownAddresses()) }

  /// Every backend, the best first. The kernel's is the fastest, but it keeps its socket to itself, so
  /// that no way through a NAT or by a relay can be found for it: it comes first only on a machine that
  /// others reach at an address of its own.
  static func ranked(on addresses: [IPAddress]) -> [any TunnelBackend] {
    let isPublic = addresses.contains { !SocketAddress($0, port: 1).isPrivate }
    let (kernel, ours) = (KernelWireGuard(), SwiftWireGuardBackend())
    return isPublic ? [kernel, ours, WireGuardGo()] : [ours, kernel, WireGuardGo()]
  }

  /// Tries namespaces, the firewall and the tunnels. Leaves nothing behind; takes some milliseconds.
  public func find() async -> Finding {
    let local = (try? await Blocking.run { try Self.localPrefixes() }) ?? []
    do {
      try await Blocking.run { try GangFirewall.probe() }
    } catch {
      let reason = (error as? IorunError)?.message ?? "\(error)"
      return Finding(
        backend: nil,
        facts: NodeFacts.DataPlane(backend: nil, reason: reason, localPrefixes: local))
    }
    let choice = await TunnelBackends.choose(from: backends)
    let reasons = choice.refusals.map { "\($0.name): \($0.reason)" }.joined(separator: "; ")
    return Finding(
      backend: choice.backend,
      facts: NodeFacts.DataPlane(
        backend: choice.backend?.name, reason: reasons.isEmpty ? nil : reasons,
        localPrefixes: local))
  }

  /// The networks that this machine is in or routes to, the narrowest left out where there are many.
  /// Blocks. Throws `networkSetup`.
  static func localPrefixes() throws -> [IPPrefix] {
    let routes = try RouteSocket()
    var found: Set<IPPrefix> = []
    for prefix in try routes.addresses() + routes.routes() {
      // Loopback and link-local ranges are every machine's. A route as wide as half of the internet
      // is a way out (as VPNs set it), not a network that the machine is in.
      if prefix.address.isLoopback || prefix.address.isLinkLocal || prefix.length < 8 { continue }
      found.insert(prefix.masked)
    }
    let sorted = found.sorted { ($0.length, $0.address) < ($1.length, $1.address) }
    return Array(sorted.prefix(NodeFacts.DataPlane.prefixLimit))
  }

  /// Addresses of this machine that other machines may reach, IPv4 first. Blocks.
  public static func ownAddresses() -> [IPAddress] {
    let all = (try? RouteSocket().addresses()) ?? []
    return Set(all.map(\.address)).filter { !$0.isLoopback && !$0.isLinkLocal }.sorted()
  }
}
