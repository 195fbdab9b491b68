/// Crockford's base 32 in lower case: no padding, no letters that look like digits, so that ids and
/// tickets survive being read aloud and copied by hand.
public enum Base32 {
  private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

  private static let values: [UInt8: UInt8] = {
    var table = Dictionary(
      uniqueKeysWithValues: alphabet.enumerated().map { ($0.element, UInt8($0.offset)) })
    table[UInt8(ascii: "o")] = 0
    table[UInt8(ascii: "i")] = 1
    table[UInt8(ascii: "l")] = 1
    return table
  }()

  /// Encodes bytes, five bits a character.
  public static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var characters: [UInt8] = []
    var accumulator: UInt16 = 0
    var bits = 0
    for byte in bytes {
      accumulator = accumulator << 8 | UInt16(byte)
      bits += 8
      while bits >= 5 {
        bits -= 5
        characters.append(alphabet[Int(accumulator >> UInt16(bits)) & 31])
      }
      accumulator &= (1 << UInt16(bits)) - 1
    }
    if bits > 0 { characters.append(alphabet[Int(accumulator << UInt16(5 - bits)) & 31]) }
    return String(decoding: characters, as: UTF8.self)
  }

  /// Decodes what `encode` wrote; `nil` for a foreign character or for bits that no encoder leaves.
  public static func decode(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var accumulator: UInt16 = 0
    var bits = 0
    for character in text.lowercased().utf8 {
      guard let value = values[character] else { return nil }
      accumulator = accumulator << 5 | UInt16(value)
      bits += 5
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: accumulator >> UInt16(bits)))
        accumulator &= (1 << UInt16(bits)) - 1
      }
    }
    guard bits < 5, accumulator == 0 else { return nil }
    return bytes
  }
}
