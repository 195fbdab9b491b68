public import IorunCore

/// One node's end of a gang's tunnel, as the other nodes need it.
public struct TunnelMember: Hashable, Codable, Sendable {
  /// Its WireGuard key, made for the lease: 32 bytes.
  public var publicKey: [UInt8]
  /// Where its UDP socket may be reached, the likeliest first.
  public var endpoints: [SocketAddress]
  /// The key with which those who look for better paths seal their words to it; 32 bytes.
  public var pathKey: [UInt8]?
  /// The largest packet, in bytes with its IP header, that its ways to other machines carry whole; `nil`
  /// where that is not known, or no less than what tunnels need.
  public var pathMTU: Int?

  /// The most endpoints that a member names.
  public static let endpointLimit = 12

  /// Describes a member.
  public init(publicKey: [UInt8], endpoints: [SocketAddress], pathKey: [UInt8]? = nil) {
    self.publicKey = publicKey
    self.endpoints = endpoints
    self.pathKey = pathKey
  }

  /// Refuses what no node says. Throws `malformed`.
  public func check() throws(IorunError) {
    guard publicKey.count == 32, pathKey.map({ $0.count == 32 }) ?? true,
      endpoints.count <= Self.endpointLimit, !endpoints.contains(where: \.isUnusable),
      pathMTU.map({ (1280...65_536).contains($0) }) ?? true
    else {
      throw IorunError(
        .malformed,
        "a node's tunnel has no key of 32 bytes, or endpoints or an MTU that nobody has",
        remedy: "Use the same version of iorun on the node and the head")
    }
  }
}

/// What a node must know to join its gang's network.
public struct GangNetwork: Hashable, Codable, Sendable {
  /// A secret of 32 bytes that only the gang's nodes and the head know; a key exchange that is
  /// broken one day does not break the gang's traffic without it.
  public var presharedKey: [UInt8]
  /// Each node's end, by the node's number. Empty where one node has all ranks.
  public var members: [TunnelMember]
  /// The number of each rank's node, by rank.
  public var nodes: [Int]

  /// Describes a network.
  public init(presharedKey: [UInt8], members: [TunnelMember], nodes: [Int]) {
    self.presharedKey = presharedKey
    self.members = members
    self.nodes = nodes
  }

  /// Throws `malformed` where it does not fit the seat.
  public func check(_ seat: OverlaySeat) throws(IorunError) {
    for member in members { try member.check() }
    guard presharedKey.count == 32, seat.nodeCount == 1 || members.count == seat.nodeCount,
      nodes.allSatisfy((0..<seat.nodeCount).contains),
      Set(members.map(\.publicKey)).count == members.count
    else {
      throw IorunError(.malformed, "the head's list of the gang's nodes does not fit the lease")
    }
  }
}
