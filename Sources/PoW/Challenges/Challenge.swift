public import IorunCore
internal import IorunCrypto

/// A puzzle for one device in one round of one epoch. Everything that an answer must be bound to
/// stands in its ``text``, and the seed of the work is that text's digest: an answer is worth nothing
/// to another device, in another round or epoch, under another beacon or with other sizes.
public struct Challenge: Hashable, Sendable {
  /// The version of the suite, which is the first part of the text.
  public static let version = "pow/1"
  /// How many bytes an id has.
  public static let idByteCount = 16
  /// How many rounds an epoch has at most.
  public static let allowedRounds = 0...63

  /// Names it; single-use.
  public let id: [UInt8]
  /// The only device that may solve it.
  public let device: DeviceID
  /// Hours since 1970 (UTC).
  public let epoch: Int64
  /// What nobody could know before the epoch's window.
  public let beacon: Digest
  /// The round within the epoch.
  public let round: Int
  /// Milliseconds since 1970 (UTC), on the verifier's clock, from which the work is timed.
  public let opensAtMilliseconds: Int64
  /// Milliseconds since 1970 (UTC), on the verifier's clock, until which a commitment or answer
  /// counts.
  public let deadlineMilliseconds: Int64
  /// The work.
  public let puzzle: Puzzle
  /// HMAC-SHA256 of the text under the verifier's secret, which keeps nothing else of it.
  public let code: [UInt8]

  /// Describes a challenge. Throws `malformed` for fields that no verifier would issue.
  public init(
    id: [UInt8], device: DeviceID, epoch: Int64, beacon: Digest, round: Int,
    opensAtMilliseconds: Int64, deadlineMilliseconds: Int64, puzzle: Puzzle, code: [UInt8]
  ) throws {
    guard id.count == Self.idByteCount, code.count == HMACSHA256.byteCount, epoch >= 0,
      Self.allowedRounds.contains(round), opensAtMilliseconds >= 0,
      deadlineMilliseconds > opensAtMilliseconds
    else {
      throw IorunError(
        .malformed, "a challenge with fields that no verifier would issue",
        remedy: "Ask for a new challenge")
    }
    (self.id, self.device, self.epoch, self.beacon) = (id, device, epoch, beacon)
    (self.round, self.puzzle, self.code) = (round, puzzle, code)
    self.opensAtMilliseconds = opensAtMilliseconds
    self.deadlineMilliseconds = deadlineMilliseconds
  }

  /// The canonical text: lower-case hexadecimal and decimal fields between bars, so that a shell can
  /// write it.
  public var text: String {
    let fields = puzzle.fields.map { "\($0.name)=\($0.value)" }
    return
      ([
        "iorun/\(Self.version)", "challenge", Hex.encode(id), device.description, "\(epoch)",
        beacon.description, "\(round)", "\(opensAtMilliseconds)", "\(deadlineMilliseconds)",
        puzzle.kind.rawValue,
      ] + fields).joined(separator: "|")
  }

  /// The seed of the work: the text's SHA-256.
  public var seed: Digest { SHA256.digest(of: Array(text.utf8)) }

  /// The seed of a memory puzzle's labels, the same in all rounds of an epoch: a table is filled
  /// once, before the walks over it are timed.
  public var tableSeed: Digest? {
    let (puzzle, isOnGPU): (MemoryPuzzle, Bool)
    // Another name: a table in the machine's memory must not serve for one in a GPU's.
    switch self.puzzle {
    case .memory(let memory): (puzzle, isOnGPU) = (memory, false)
    case .gpuMemory(let memory): (puzzle, isOnGPU) = (memory, true)
    case .hash, .lane, .product: return nil
    }
    // The sizes were checked with the puzzle's.
    return try? TableOrder(
      device: device, epoch: epoch, beacon: beacon, labels: puzzle.labels,
      labelSteps: puzzle.labelSteps, isOnGPU: isOnGPU
    ).seed
  }

  /// The 64 bytes before every nonce of a hash puzzle: the seed, and the digest of the device's key.
  var hashPrefix: [UInt8] { seed.bytes + SHA256.digest(of: device.bytes).bytes }
}

extension Challenge: Codable {
  private enum CodingKeys: String, CodingKey {
    case version, id, device, epoch, beacon, round, puzzle, code
    case opensAtMilliseconds = "opens_at_milliseconds"
    case deadlineMilliseconds = "deadline_milliseconds"
  }

  /// Reads a challenge with the checks of `init`. Throws `versionMismatch` for another version.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let version = try values.decode(String.self, forKey: .version)
    guard version == Self.version else {
      throw IorunError(
        .versionMismatch,
        "a challenge of version '\(version.prefix(16))'; this is \(Self.version)",
        remedy: "Update iorun on both sides")
    }
    guard let id = Hex.decode(try values.decode(String.self, forKey: .id)),
      let code = Hex.decode(try values.decode(String.self, forKey: .code))
    else { throw IorunError(.malformed, "a challenge's id and code are hexadecimal") }
    try self.init(
      id: id, device: values.decode(DeviceID.self, forKey: .device),
      epoch: values.decode(Int64.self, forKey: .epoch),
      beacon: values.decode(Digest.self, forKey: .beacon),
      round: values.decode(Int.self, forKey: .round),
      opensAtMilliseconds: values.decode(Int64.self, forKey: .opensAtMilliseconds),
      deadlineMilliseconds: values.decode(Int64.self, forKey: .deadlineMilliseconds),
      puzzle: values.decode(Puzzle.self, forKey: .puzzle), code: code)
  }

  /// Writes all fields, bytes in hexadecimal.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(Self.version, forKey: .version)
    try container.encode(Hex.encode(id), forKey: .id)
    try container.encode(device, forKey: .device)
    try container.encode(epoch, forKey: .epoch)
    try container.encode(beacon, forKey: .beacon)
    try container.encode(round, forKey: .round)
    try container.encode(opensAtMilliseconds, forKey: .opensAtMilliseconds)
    try container.encode(deadlineMilliseconds, forKey: .deadlineMilliseconds)
    try container.encode(puzzle, forKey: .puzzle)
    try container.encode(Hex.encode(code), forKey: .code)
  }
}
