/// Names a peer of the mesh by its key: the first 16 bytes of SHA-256 over the peer's Curve25519
/// public key. A peer is a key, never an address.
public struct PeerID: Hashable, Sendable {
  /// The first eight bytes, big-endian.
  public let high: UInt64
  /// The last eight bytes, big-endian.
  public let low: UInt64

  /// How many bytes a peer id has on the wire.
  public static let byteCount = 16

  /// Makes an id from its two halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Makes an id from its 16 bytes; `nil` for any other length.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    var halves: (UInt64, UInt64) = (0, 0)
    for (index, byte) in bytes.enumerated() {
      if index < 8 {
        halves.0 = halves.0 << 8 | UInt64(byte)
      } else {
        halves.1 = halves.1 << 8 | UInt64(byte)
      }
    }
    (high, low) = halves
  }

  /// The 16 bytes, as they stand on the wire.
  public var bytes: [UInt8] {
    [high, low].flatMap { half in
      stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> $0) }
    }
  }
}

extension PeerID: Comparable {
  /// Orders by bytes.
  public static func < (left: PeerID, right: PeerID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension PeerID: LosslessStringConvertible {
  /// 26 characters of Crockford's base 32.
  public var description: String { Base32.encode(bytes) }

  /// The first eight characters: enough for people to tell peers apart.
  public var short: String { String(description.prefix(8)) }

  /// Reads an id that `description` wrote.
  public init?(_ description: String) {
    guard let bytes = Base32.decode(description) else { return nil }
    self.init(bytes: bytes)
  }
}

extension PeerID: Codable {
  /// Reads the textual form.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let id = PeerID(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not a peer id")
    }
    self = id
  }

  /// Writes the textual form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
