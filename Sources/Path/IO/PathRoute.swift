public import IorunCore

/// Where a peer's datagrams go now.
public struct PathRoute: Hashable, Sendable {
  /// The peer's address, or the relay's.
  public var address: SocketAddress
  /// What stands before each datagram by way of a relay, the first byte in the highest bits.
  public var relayHeader: UInt64?

  /// Makes a route.
  public init(_ address: SocketAddress, relayHeader: UInt64? = nil) {
    self.address = address
    self.relayHeader = relayHeader
  }

  /// True where no relay is on the way.
  public var isDirect: Bool { relayHeader == nil }
}

/// How it stands with the way to a peer.
public struct PathStatus: Hashable, Sendable {
  /// The way in use; `nil`: none.
  public var route: PathRoute?
  /// Its round trip, once it was measured.
  public var roundTrip: Duration?
  /// The relay's, once it was measured.
  public var relayRoundTrip: Duration?
  /// Tries to find a direct way since there last was one.
  public var tries: Int
}
