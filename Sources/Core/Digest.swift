/// A SHA-256 digest (FIPS 180-4): the name of a piece of content.
public struct Digest: Hashable, Sendable {
  /// The 32 bytes.
  public let bytes: [UInt8]

  /// How many bytes a digest has.
  public static let byteCount = 32

  /// Makes a digest from its 32 bytes; `nil` for any other length.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = Array(bytes)
  }
}

extension Digest: LosslessStringConvertible {
  private static let digits = Array("0123456789abcdef".utf8)

  /// 64 lower-case hexadecimal digits, as `sha256sum` prints them.
  public var description: String {
    String(
      decoding: bytes.flatMap { [Self.digits[Int($0 >> 4)], Self.digits[Int($0 & 15)]] },
      as: UTF8.self)
  }

  /// Reads 64 hexadecimal digits; `nil` for anything else.
  public init?(_ description: String) {
    let characters = Array(description.utf8)
    guard characters.count == 2 * Self.byteCount else { return nil }
    var bytes: [UInt8] = []
    for pair in stride(from: 0, to: characters.count, by: 2) {
      guard let high = Self.digits.firstIndex(of: characters[pair]),
        let low = Self.digits.firstIndex(of: characters[pair + 1])
      else { return nil }
      bytes.append(UInt8(high << 4 | low))
    }
    self.bytes = bytes
  }
}

extension Digest: Codable {
  /// Reads the hexadecimal form.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let digest = Digest(text) else {
      throw IorunError(.malformed, "'\(text.prefix(80))' is not a SHA-256 digest")
    }
    self = digest
  }

  /// Writes the hexadecimal form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
