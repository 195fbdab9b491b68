internal import IorunCore

/// How much work a challenge asks for: the number of leading zero bits that a hash must have. A
/// solver tries 2^bits nonces on average.
public struct HashDifficulty: RawRepresentable, Hashable, Codable, Sendable, Comparable {
  /// Leading zero bits.
  public let rawValue: Int

  /// What is accepted. Below it a solution proves nothing; above it no single machine would finish
  /// within a day (2^44 hashes at 200 million a second).
  public static let allowed = 1...44

  /// Makes a difficulty; `nil` outside ``allowed``.
  public init?(rawValue: Int) {
    guard Self.allowed.contains(rawValue) else { return nil }
    self.rawValue = rawValue
  }

  /// Makes a difficulty. Throws `malformed` outside ``allowed``.
  public init(bits: Int) throws {
    guard Self.allowed.contains(bits) else {
      throw IorunError(
        .malformed,
        "a difficulty of \(bits) bits; \(Self.allowed.lowerBound) to "
          + "\(Self.allowed.upperBound) are allowed",
        remedy: "Ask for a new challenge")
    }
    rawValue = bits
  }

  /// Reads the number of bits and checks it.
  public init(from decoder: any Decoder) throws {
    try self.init(bits: decoder.singleValueContainer().decode(Int.self))
  }

  /// Writes the number of bits.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }

  /// Orders by work.
  public static func < (left: HashDifficulty, right: HashDifficulty) -> Bool {
    left.rawValue < right.rawValue
  }

  /// True where a digest, read as its first eight bytes (big-endian), has enough leading zeros.
  func isMet(by firstEightBytes: UInt64) -> Bool {
    firstEightBytes.leadingZeroBitCount >= rawValue
  }
}
