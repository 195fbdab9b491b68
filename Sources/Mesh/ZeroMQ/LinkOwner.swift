internal import IorunWire

/// Whoever holds the socket of a link: the dialler of one, or the acceptor of many. Belongs to the
/// I/O thread.
protocol LinkOwner: AnyObject {
  /// Puts a packet into the link's outbox.
  func send(_ packet: Packet, over link: MeshEngine.LinkID)

  /// Hands what waits to libzmq.
  func flush()
}
