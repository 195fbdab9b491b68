extension SocketAddress {
  /// Makes an address of a socket.
  public init(_ address: IPAddress, port: UInt16) {
    switch address {
    case .v4(let value):
      self.init(
        v4: UInt8(value >> 24), UInt8(truncatingIfNeeded: value >> 16),
        UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value), port: port)
    case .v6:
      // 16 bytes are never refused; the other branch is for the compiler.
      self =
        SocketAddress(address: address.bytes, port: port)
        ?? SocketAddress(v4: 0, 0, 0, 0, port: port)
    }
  }

  /// The address without its port.
  public var ip: IPAddress { IPAddress(bytes: address) ?? .v4(0) }
}
