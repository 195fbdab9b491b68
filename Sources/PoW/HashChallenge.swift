public import IorunCore

/// A puzzle for one peer and one epoch: find a nonce so that the SHA-256 of this challenge and the
/// nonce begins with enough zero bits.
///
/// The hashed bytes hold everything that a solution must be bound to, so a solution is worth
/// nothing to another peer, in another epoch, or under an easier difficulty.
public struct HashChallenge: Hashable, Codable, Sendable {
  /// Bytes that nobody could know before the challenge was made.
  public let seed: [UInt8]
  /// The work.
  public let difficulty: HashDifficulty
  /// The only peer that may solve it.
  public let peer: PeerID
  /// The round of verification it belongs to.
  public let epoch: Int64
  /// Seconds since 1970 (UTC), on the verifier's clock, until which a solution counts.
  public let deadline: Double

  /// How many bytes a seed has.
  public static let seedByteCount = 32

  /// Makes a challenge. Throws `malformed` for a seed of another length or a deadline that is no
  /// time.
  public init(
    seed: [UInt8], difficulty: HashDifficulty, peer: PeerID, epoch: Int64, deadline: Double
  ) throws {
    guard seed.count == Self.seedByteCount, deadline.isFinite else {
      throw IorunError(
        .malformed, "a challenge needs a seed of \(Self.seedByteCount) bytes and a deadline",
        remedy: "Ask for a new challenge")
    }
    self.seed = seed
    self.difficulty = difficulty
    self.peer = peer
    self.epoch = epoch
    self.deadline = deadline
  }

  /// Reads a challenge with the checks of `init`: it comes from the network.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      seed: values.decode([UInt8].self, forKey: .seed),
      difficulty: values.decode(HashDifficulty.self, forKey: .difficulty),
      peer: values.decode(PeerID.self, forKey: .peer),
      epoch: values.decode(Int64.self, forKey: .epoch),
      deadline: values.decode(Double.self, forKey: .deadline))
  }

  private enum CodingKeys: String, CodingKey {
    case seed, difficulty, peer, epoch, deadline
  }

  /// The bytes that stand before the nonce in every hash. Of fixed length, so that no two
  /// challenges can share them.
  var prefix: [UInt8] {
    Array("iorun pow sha256 1".utf8) + seed + peer.bytes + Self.bigEndian(UInt64(bitPattern: epoch))
      + Self.bigEndian(deadline.bitPattern) + [UInt8(difficulty.rawValue)]
  }

  static func bigEndian(_ value: UInt64) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }
}
