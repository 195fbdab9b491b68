internal import IorunCore
public import IorunCrypto

/// Names a device by its Ed25519 public key, with which it signs its proofs.
public struct DeviceID: Hashable, Sendable {
  /// The 32 bytes of the public key.
  public let bytes: [UInt8]

  /// Makes an id from a public key; `nil` for any other length than 32.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == SigningKey.byteCount else { return nil }
    self.bytes = Array(bytes)
  }

  /// The id of the owner of `key`.
  public init(_ key: SigningKey) { bytes = key.publicKey }
}

extension DeviceID: LosslessStringConvertible, Comparable {
  /// 64 lower-case hexadecimal digits.
  public var description: String { Hex.encode(bytes) }

  /// Reads 64 hexadecimal digits; `nil` for anything else.
  public init?(_ description: String) {
    guard let bytes = Hex.decode(description) else { return nil }
    self.init(bytes: bytes)
  }

  /// Orders by bytes.
  public static func < (left: DeviceID, right: DeviceID) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

extension DeviceID: Codable {
  /// Reads the hexadecimal form. Throws `malformed`.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let id = DeviceID(text) else {
      throw IorunError(.malformed, "'\(text.prefix(80))' is not a device's public key")
    }
    self = id
  }

  /// Writes the hexadecimal form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// Bytes as lower-case hexadecimal text.
enum Hex {
  private static let digits = Array("0123456789abcdef".utf8)

  static func encode(_ bytes: some Collection<UInt8>) -> String {
    String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  static func encode(_ number: UInt64) -> String { encode(Words.bytes(number)) }

  /// `nil` for an odd number of characters, or any that `encode` would not write.
  static func decode(_ text: String) -> [UInt8]? {
    let characters = Array(text.utf8)
    guard characters.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(characters.count / 2)
    for pair in stride(from: 0, to: characters.count, by: 2) {
      guard let high = value(characters[pair]), let low = value(characters[pair + 1]) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x61...0x66: digit - 0x61 + 10
    default: nil
    }
  }
}
