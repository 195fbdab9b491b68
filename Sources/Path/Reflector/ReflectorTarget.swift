public import IorunCore

/// A reflector and relay as nodes know it.
public struct ReflectorTarget: Hashable, Sendable, Codable {
  /// Its name for people.
  public var name: String
  /// Its UDP addresses.
  public var addresses: [SocketAddress]
  /// The TCP port of framed datagrams at the same addresses; 0: none.
  public var streamPort: UInt16
  /// With which members prove to it that they are members.
  public var key: [UInt8]

  /// Describes a reflector.
  public init(name: String, addresses: [SocketAddress], streamPort: UInt16, key: [UInt8]) {
    self.name = name
    self.addresses = addresses
    self.streamPort = streamPort
    self.key = key
  }
}
