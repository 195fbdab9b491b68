public import IorunCore

/// A UDP socket as the search for paths uses it: its own (`UDPSocket`), or a tunnel's, whose other
/// datagrams it does not see.
public protocol DatagramChannel: AnyObject, Sendable {
  /// The port.
  var port: UInt16 { get }

  /// Sends one datagram at once, or drops it where the socket is full or there is no way. With a
  /// `timeToLive` it goes so many hops.
  func send(_ datagram: [UInt8], to address: SocketAddress, timeToLive: Int?)

  /// Says who takes what comes in: the bytes and whence they came. Called on the channel's own
  /// thread; must not block. `nil`: nobody.
  func onDatagram(_ handler: (@Sendable ([UInt8], SocketAddress) -> Void)?)
}
