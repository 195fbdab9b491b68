internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// A peer's public Curve25519 key, as WireGuard uses it.
public struct TunnelPublicKey: Sendable, Hashable {
  /// The 32 bytes.
  public let bytes: [UInt8]
  /// How many bytes each key has.
  public static let byteCount = 32

  /// Takes a key from its 32 bytes; `nil` for any other length.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = Array(bytes)
  }

  init(unchecked bytes: [UInt8]) { self.bytes = bytes }
}

extension TunnelPublicKey: Comparable {
  /// Orders by bytes: of two ends that punch a hole, the lower key begins.
  public static func < (left: TunnelPublicKey, right: TunnelPublicKey) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

extension TunnelPublicKey: LosslessStringConvertible {
  /// Base 64, as `wg` writes keys.
  public var description: String { Data(bytes).base64EncodedString() }

  /// Reads what `description` wrote.
  public init?(_ description: String) {
    guard let bytes = Data(base64Encoded: description) else { return nil }
    self.init(bytes: bytes)
  }
}

extension TunnelPublicKey: Codable {
  /// Reads the textual form.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let key = TunnelPublicKey(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not a tunnel's public key")
    }
    self = key
  }

  /// Writes the textual form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// One side's secret Curve25519 key.
public struct TunnelPrivateKey: Sendable, Hashable {
  /// The 32 secret bytes.
  public let bytes: [UInt8]

  /// Draws a new key. Throws `internalFault` where there is no randomness.
  public init() throws {
    var bytes = try SecureRandom.bytes(TunnelPublicKey.byteCount)
    // RFC 7748 section 5; X25519 does it anyway, and other tools compare keys so.
    bytes[0] &= 248
    bytes[31] = bytes[31] & 127 | 64
    self.bytes = bytes
  }

  /// Takes a key from its 32 bytes; `nil` for any other length.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == TunnelPublicKey.byteCount else { return nil }
    self.bytes = Array(bytes)
  }

  /// The public half. Throws `identityUnusable` where OpenSSL refuses the key.
  public var publicKey: TunnelPublicKey {
    get throws { TunnelPublicKey(unchecked: try X25519(secretKey: bytes).publicKey) }
  }

  /// Base 64, as `wg` and `wireguard-go` read it. For files and pipes that nobody else reads.
  public var secretText: String { Data(bytes).base64EncodedString() }
}

extension TunnelPrivateKey: CustomStringConvertible, CustomReflectable {
  /// Says only that it is a key, so that no log ever shows the secret.
  public var description: String { "TunnelPrivateKey(secret not shown)" }
  /// Without children, for the same reason.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// A secret of 32 bytes that two ends share besides their keys.
public struct TunnelPresharedKey: Sendable, Hashable {
  /// The 32 secret bytes.
  public let bytes: [UInt8]

  /// Draws a new one. Throws `internalFault` where there is no randomness.
  public init() throws { bytes = try SecureRandom.bytes(TunnelPublicKey.byteCount) }

  /// Takes one from its 32 bytes; `nil` for any other length.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == TunnelPublicKey.byteCount else { return nil }
    self.bytes = Array(bytes)
  }
}

extension TunnelPresharedKey: CustomStringConvertible, CustomReflectable {
  /// Says only that it is a key, so that no log ever shows the secret.
  public var description: String { "TunnelPresharedKey(secret not shown)" }
  /// Without children, for the same reason.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}
