public import IorunCore

/// One other end of a tunnel.
public struct TunnelPeer: Sendable, Hashable {
  /// Its key: who it is.
  public var publicKey: TunnelPublicKey
  /// A secret that both ends know besides their keys; `nil`: none.
  public var presharedKey: TunnelPresharedKey?
  /// Which addresses inside of the tunnel are its: packets to them go to it, and packets from it
  /// must come from them.
  public var allowedIPs: [IPPrefix]
  /// Where it is; `nil`: unknown until it writes.
  public var endpoint: TunnelEndpoint?
  /// How often to send something, so that a NAT on the way remembers; `nil`: never for its own sake.
  public var keepalive: Duration?
  /// Whether this side begins handshakes. Where two sides begin at once on a path with delay, other
  /// implementations can refuse each other's answers for many seconds; of two ends that punch a hole
  /// only the one with the lower key should begin. The other one begins only when it has wanted a
  /// key for 15 s. Backends that cannot hold back ignore it.
  public var startsHandshakes: Bool
  /// Whether an authentic datagram from elsewhere makes that place the endpoint (a relay never
  /// replaces a direct one). False: only ``TunnelDevice/setEndpoint(_:of:)`` does. Backends that
  /// always roam ignore it.
  public var roams: Bool

  /// Makes a description of a peer.
  public init(
    publicKey: TunnelPublicKey, presharedKey: TunnelPresharedKey? = nil, allowedIPs: [IPPrefix],
    endpoint: TunnelEndpoint? = nil, keepalive: Duration? = nil,
    startsHandshakes: Bool = true, roams: Bool = true
  ) {
    self.publicKey = publicKey
    self.presharedKey = presharedKey
    self.allowedIPs = allowedIPs
    self.endpoint = endpoint
    self.keepalive = keepalive
    self.startsHandshakes = startsHandshakes
    self.roams = roams
  }
}
