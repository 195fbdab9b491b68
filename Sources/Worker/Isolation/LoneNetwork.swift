import IorunCore
import IorunTunnel

/// A network with nobody else in it: programs in it reach each other, on one machine, and nothing more.
enum LoneNetwork {
  /// Makes one whose loopback has `address` too, under which others know the node. Blocks for some
  /// milliseconds.
  ///
  /// - Throws: `networkSetup`.
  static func make(address: String) throws -> NetworkNamespace {
    let space = try NetworkNamespace()
    let routes = try RouteSocket(in: space)
    let loopback = try routes.link("lo")
    try routes.bringUp(loopback)
    if let address = IPAddress(address), !address.isLoopback {
      try routes.addAddress(IPPrefix(host: address), to: loopback)
    }
    return space
  }
}
