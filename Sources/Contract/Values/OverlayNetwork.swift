public import IorunCore

/// The addresses of one gang's network: a range of each family. The node with number n has the
/// address n + 1 of each.
public struct OverlayNetwork: Hashable, Codable, Sendable {
  /// IPv4, from 100.64.0.0/10 or 10.0.0.0/8.
  public var four: IPPrefix
  /// IPv6, a /64 of fc00::/7.
  public var six: IPPrefix

  /// The most nodes that a gang's network has.
  public static let mostNodes = 1024

  /// Describes a network.
  public init(four: IPPrefix, six: IPPrefix) {
    self.four = four
    self.six = six
  }

  /// The IPv4 address of a node of the gang, which is where its ranks are reached.
  public func four(of node: Int) -> IPAddress {
    guard case .v4(let base) = four.network else { return four.network }
    return .v4(base &+ UInt32(truncatingIfNeeded: node) &+ 1)
  }

  /// The IPv6 address of a node of the gang.
  public func six(of node: Int) -> IPAddress {
    guard case .v6(let high, let low) = six.network else { return six.network }
    return .v6(high: high, low: low &+ UInt64(truncatingIfNeeded: node) &+ 1)
  }

  /// Refuses ranges that are not private ones, or too small for `nodes`: a head that was taken over
  /// must not make a node claim somebody's address. Throws `malformed`.
  public func check(nodes: Int) throws(IorunError) {
    let isFourGood =
      !four.address.isIPv6
      && Self.privateFour.contains { $0.overlaps(four) && $0.length <= four.length }
      && (8...30).contains(four.length)
    let isSixGood = six.address.isIPv6 && six.length == 64 && Self.privateSix.contains(six.network)
    guard isFourGood, isSixGood, (1...Self.mostNodes).contains(nodes),
      nodes + 2 <= 1 << (32 - four.length)
    else {
      throw IorunError(
        .malformed, "no gang of \(nodes) nodes can have the network \(four) and \(six)",
        remedy: "Use the same version of iorun on the node and the head")
    }
  }

  /// 100.64.0.0/10 (RFC 6598) and 10.0.0.0/8 (RFC 1918).
  public static let privateFour = [
    IPPrefix(.v4(0x6440_0000), length: 10), IPPrefix(.v4(0x0a00_0000), length: 8),
  ].compactMap { $0 }

  private static let privateSix =
    IPPrefix(.v6(high: 0xfc00 << 48, low: 0), length: 7) ?? IPPrefix(host: .v6(high: 0, low: 1))
}

/// A node's place in the network of a gang.
public struct OverlaySeat: Hashable, Codable, Sendable {
  /// The gang's addresses.
  public var network: OverlayNetwork
  /// The node's number in the gang, from 0.
  public var node: Int
  /// How many nodes the gang has; with one, no tunnel is needed.
  public var nodeCount: Int

  /// Describes a place.
  public init(network: OverlayNetwork, node: Int, nodeCount: Int) {
    self.network = network
    self.node = node
    self.nodeCount = nodeCount
  }

  /// Throws `malformed` where it contradicts itself.
  public func check() throws(IorunError) {
    try network.check(nodes: nodeCount)
    guard (0..<nodeCount).contains(node) else {
      throw IorunError(.malformed, "a gang of \(nodeCount) nodes has no node \(node)")
    }
  }
}
