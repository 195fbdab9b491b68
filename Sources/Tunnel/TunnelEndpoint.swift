public import IorunCore

/// Where a peer's datagrams go: its address, or a relay's with the header that tells the relay whom
/// they are for.
public struct TunnelEndpoint: Sendable, Hashable {
  /// The peer's address, or the relay's.
  public var address: SocketAddress
  /// What stands before each datagram to and from a relay; `nil`: the peer is reached directly.
  public var relayHeader: RelayHeader?

  /// The eight bytes before each relayed datagram. The first one is neither 0 nor one of WireGuard's
  /// types (1 to 4), so that relayed datagrams cannot be taken for direct ones.
  public struct RelayHeader: Sendable, Hashable {
    /// The bytes in the order on the wire, the first one in the highest bits.
    public let rawValue: UInt64
    /// How many bytes a header has.
    public static let byteCount = 8

    /// Makes a header; `nil` where the first byte is 0 to 4.
    public init?(rawValue: UInt64) {
      guard rawValue >> 56 > 4 else { return nil }
      self.rawValue = rawValue
    }
  }

  /// Makes an endpoint.
  public init(_ address: SocketAddress, relayHeader: RelayHeader? = nil) {
    self.address = address
    self.relayHeader = relayHeader
  }
}

extension TunnelEndpoint: CustomStringConvertible {
  /// The address, and `via relay` where it is one.
  public var description: String { relayHeader == nil ? "\(address)" : "\(address) via relay" }
}
