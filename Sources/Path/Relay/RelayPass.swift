public import IorunCore
internal import IorunCrypto

/// A relay's word that one end of one pair may use it: made by the head with the secret that it
/// shares with the relay, so that the relay needs to be told nothing and remembers nothing.
public struct RelayPass: Hashable, Sendable, Codable {
  /// Which end of a pair.
  public enum Leg: UInt8, Sendable, Codable, Hashable {
    /// The end with the lower key.
    case lower = 0
    /// The other.
    case higher = 1
  }

  /// The relay's UDP addresses; any of them will do.
  public var addresses: [SocketAddress]
  /// The pair's number at the relay; 24 bits.
  public var slot: UInt32
  /// Which end this pass is for.
  public var leg: Leg
  /// Seconds since 1970 (UTC) until which it is good.
  public var expiresAt: UInt64
  /// What the pair may send in a second, both ways together; 0: no bound.
  public var kilobytesPerSecond: UInt32
  /// What this end proves that it knows.
  public var key: [UInt8]

  /// The most addresses that a pass names.
  public static let addressLimit = 8
  /// The highest slot.
  public static let lastSlot: UInt32 = 0xFF_FFFF

  /// Makes the pass for one end of a pair.
  ///
  /// - Parameter secret: what the head and the relay share, at least 16 bytes.
  /// - Throws: `internalFault` where OpenSSL fails.
  public init(
    secret: [UInt8], addresses: [SocketAddress], slot: UInt32, leg: Leg, expiresAt: UInt64,
    kilobytesPerSecond: UInt32
  ) throws {
    self.addresses = addresses
    self.slot = slot & Self.lastSlot
    self.leg = leg
    self.expiresAt = expiresAt
    self.kilobytesPerSecond = kilobytesPerSecond
    key = try Self.key(
      secret: secret, slot: slot & Self.lastSlot, leg: leg, expiresAt: expiresAt,
      kilobytesPerSecond: kilobytesPerSecond)
  }

  /// The key of a leg: depends on all that the pass says.
  static func key(
    secret: [UInt8], slot: UInt32, leg: Leg, expiresAt: UInt64, kilobytesPerSecond: UInt32
  ) throws -> [UInt8] {
    var message = Array("iorun relay leg 1".utf8)
    message.append(bigEndian: slot)
    message.append(leg.rawValue)
    message.append(bigEndian: expiresAt)
    message.append(bigEndian: kilobytesPerSecond)
    return try HMACSHA256.code(of: message, key: secret)
  }

  /// The key with which members prove to a reflector that they are members.
  public static func reflectorKey(secret: [UInt8]) throws -> [UInt8] {
    try HMACSHA256.code(of: Array("iorun reflector 1".utf8), key: secret)
  }

  /// The 32 bits by which the relay knows a leg's datagrams, beside their source.
  static func tag(ofKey key: [UInt8]) throws -> UInt32 {
    try HMACSHA256.code(of: Array("iorun relay tag 1".utf8), key: key).prefix(4)
      .reduce(0) { $0 << 8 | UInt32($1) }
  }
}

/// The eight bytes before each relayed datagram: what it holds, the slot, the leg's tag.
public struct RelayHeader: Hashable, Sendable {
  /// The first byte where a tunnel's datagram follows.
  public static let dataByte: UInt8 = 0x9D
  /// The first byte where a disco datagram follows.
  public static let discoByte: UInt8 = 0x9E
  /// How many bytes a header has.
  public static let byteCount = 8

  /// The pair.
  public var slot: UInt32
  /// The leg's tag.
  public var tag: UInt32

  /// The header that the holder of a pass puts before what it sends, and finds before what it gets.
  ///
  /// - Throws: `internalFault` where OpenSSL fails.
  public init(_ pass: RelayPass) throws {
    slot = pass.slot
    tag = try RelayPass.tag(ofKey: pass.key)
  }

  /// The header of a tunnel's datagrams, the first byte in the highest bits.
  public var data: UInt64 { value(Self.dataByte) }

  /// The bytes before a disco datagram.
  public var disco: [UInt8] {
    let value = value(Self.discoByte)
    return stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  private func value(_ first: UInt8) -> UInt64 {
    UInt64(first) << 56 | UInt64(slot) << 32 | UInt64(tag)
  }
}

extension [UInt8] {
  mutating func append(bigEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }
}
