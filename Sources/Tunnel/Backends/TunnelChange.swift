internal import IorunCore

/// What is to change of one peer of a tunnel, for the backends that send changes in requests.
enum TunnelChange: Hashable, Sendable {
  /// It is there, and like this; an endpoint of `nil` keeps the present one.
  case set(TunnelPeer)
  /// It is reached there from now on.
  case endpoint(SocketAddress, of: TunnelPublicKey)
  /// It is no peer any more.
  case remove(TunnelPublicKey)
}
