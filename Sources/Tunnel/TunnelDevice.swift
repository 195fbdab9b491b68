public import IorunCore

/// A tunnel that is open. Its calls are short and may be made from any thread or actor.
public protocol TunnelDevice: AnyObject, Sendable {
  /// The name of the backend that made it.
  var backend: String { get }
  /// The name of the interface.
  var interfaceName: String { get }
  /// The UDP port that it has.
  var listenPort: UInt16 { get }

  /// Adds a peer, or replaces what is known of the peer with that key; sessions go on. An endpoint
  /// of `nil` keeps the present one. Throws `specInvalid` where there are too many.
  func setPeer(_ peer: TunnelPeer) async throws

  /// Forgets a peer with its keys and counters; nothing happens where it is not known.
  func removePeer(_ key: TunnelPublicKey) async throws

  /// Sends to a peer by another way from now on: a direct path that was found, or a relay. Throws
  /// `notFound` for an unknown peer, `notAllowed` for a relay where the backend cannot.
  func setEndpoint(_ endpoint: TunnelEndpoint, of key: TunnelPublicKey) async throws

  /// What has been counted, for each peer.
  func counters() async throws -> [TunnelPublicKey: TunnelCounters]

  /// The socket of the tunnel, for those who look for paths; `nil` where the backend keeps it to
  /// itself (the kernel's, `wireguard-go`).
  var socket: (any TunnelSocket)? { get }

  /// Ends the tunnel: keys are erased, the interface goes. Later calls throw `wrongState`.
  func close() async
}

/// A tunnel's UDP socket as others may use it: WireGuard's datagrams are not seen here, and all
/// others are not seen by WireGuard.
public protocol TunnelSocket: AnyObject, Sendable {
  /// The port, on IPv4 and IPv6.
  var port: UInt16 { get }

  /// Sends one datagram at once, or drops it where the socket is full. `timeToLive` (hops) is for
  /// this datagram only: one that dies between two NATs opens the near one alone. Throws `tooLarge`
  /// above 1,500 bytes and `unreachable` where the kernel refuses.
  func send(_ datagram: [UInt8], to address: SocketAddress, timeToLive: Int?) throws

  /// Says who takes the datagrams that are not WireGuard's: the bytes and whence they came. It is
  /// called on the tunnel's own thread, one datagram after the other, and must not block. `nil`:
  /// nobody, they are dropped. Datagrams of relays that peers use are not among them.
  func onDatagram(_ handler: (@Sendable ([UInt8], SocketAddress) -> Void)?)
}
