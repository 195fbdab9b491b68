public import IorunCore
public import IorunTunnel

/// What the process of a rank enters: its gang's network on this node.
public struct RankNetwork: Sendable {
  /// The namespace; it lives at least as long as this value.
  public var namespace: NetworkNamespace
  /// The folder with the files (`hosts`, `resolv.conf`) that take the place of those in `/etc`.
  public var folder: String
  /// The interface that reaches the other ranks.
  public var interface: String
  /// The addresses of this node in it, under which others reach its ranks.
  public var addresses: [IPAddress]

  /// Describes a network.
  public init(
    namespace: NetworkNamespace, folder: String, interface: String, addresses: [IPAddress]
  ) {
    self.namespace = namespace
    self.folder = folder
    self.interface = interface
    self.addresses = addresses
  }
}
