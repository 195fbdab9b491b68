/// Names an object of a runtime job: its owner's worker id (16 bytes), a counter of the owner's (8) and
/// the number among the results of one task (4). 28 bytes, or 56 hexadecimal digits.
public struct ObjectID: Hashable, Sendable, CustomStringConvertible {
  /// How many bytes an id has.
  public static let byteCount = 28

  private let ownerHigh: UInt64
  private let ownerLow: UInt64
  /// Counts the owner's tasks and puts.
  public let counter: UInt64
  /// The number among one task's results.
  public let index: UInt32

  /// Makes an id from its parts.
  public init(owner: WorkerID, counter: UInt64, index: UInt32) {
    ownerHigh = owner.high
    ownerLow = owner.low
    self.counter = counter
    self.index = index
  }

  /// Reads 28 bytes; `nil` for any other number.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount,
      let owner = WorkerID(bytes: bytes.prefix(16))
    else { return nil }
    let tail = Array(bytes.dropFirst(16))
    self.init(
      owner: owner, counter: tail[..<8].reversed().reduce(0) { $0 << 8 | UInt64($1) },
      index: tail[8...].reversed().reduce(0) { $0 << 8 | UInt32($1) })
  }

  /// Reads 56 lower-case hexadecimal digits; `nil` for anything else.
  public init?(_ text: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.byteCount)
    var half: UInt8?
    for digit in text.utf8 {
      let value: UInt8
      switch digit {
      case 48...57: value = digit - 48
      case 97...102: value = digit - 87
      default: return nil
      }
      if let high = half {
        bytes.append(high << 4 | value)
        half = nil
      } else {
        half = value
      }
    }
    guard half == nil else { return nil }
    self.init(bytes: bytes)
  }

  /// The process that owns the object.
  public var owner: WorkerID { WorkerID(high: ownerHigh, low: ownerLow) }

  /// The 28 bytes.
  public var bytes: [UInt8] {
    owner.bytes + (0..<8).map { UInt8(truncatingIfNeeded: counter >> (8 * $0)) }
      + (0..<4).map { UInt8(truncatingIfNeeded: index >> (8 * $0)) }
  }

  /// 56 hexadecimal digits.
  public var description: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}

extension ObjectID: Codable {
  /// Reads the text.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let id = ObjectID(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not an object id")
    }
    self = id
  }

  /// Writes the text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
