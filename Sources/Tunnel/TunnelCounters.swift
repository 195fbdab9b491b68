/// What a tunnel has counted for one of its peers since it was opened.
public struct TunnelCounters: Sendable, Hashable {
  /// Bytes of datagrams sent to the peer, WireGuard's own overhead included.
  public var sentBytes: UInt64
  /// Bytes of authentic datagrams that came from it.
  public var receivedBytes: UInt64
  /// How long ago the last handshake was completed; `nil`: never.
  public var sinceHandshake: Duration?
  /// Where the peer is now: what was set, or whence its last authentic datagram came.
  public var endpoint: TunnelEndpoint?

  /// Makes counters.
  public init(
    sentBytes: UInt64 = 0, receivedBytes: UInt64 = 0, sinceHandshake: Duration? = nil,
    endpoint: TunnelEndpoint? = nil
  ) {
    self.sentBytes = sentBytes
    self.receivedBytes = receivedBytes
    self.sinceHandshake = sinceHandshake
    self.endpoint = endpoint
  }
}
