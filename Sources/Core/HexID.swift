/// Sixteen random bytes that name something of a runtime job, in lower-case hexadecimal text: the
/// `Kind` keeps a worker's id from being taken for a placement group's.
public struct HexID<Kind>: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The first eight bytes, big-endian.
  public let high: UInt64
  /// The last eight bytes, big-endian.
  public let low: UInt64

  /// Makes an id from its halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Draws an id.
  public init(using generator: inout some RandomNumberGenerator) {
    self.init(
      high: .random(in: .min ... .max, using: &generator),
      low: .random(in: .min ... .max, using: &generator))
  }

  /// Reads 32 hexadecimal digits; `nil` for anything else.
  public init?(_ text: String) {
    let digits = text.utf8
    guard digits.count == 32,
      digits.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }),
      let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  /// Reads 16 bytes; `nil` where there are more or fewer.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 16 else { return nil }
    var halves: [UInt64] = [0, 0]
    for (index, byte) in bytes.enumerated() {
      halves[index / 8] = halves[index / 8] << 8 | UInt64(byte)
    }
    self.init(high: halves[0], low: halves[1])
  }

  /// The 16 bytes.
  public var bytes: [UInt8] {
    [high, low].flatMap { half in
      (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
    }
  }

  /// 32 hexadecimal digits.
  public var description: String { Self.digits(high) + Self.digits(low) }

  private static func digits(_ half: UInt64) -> String {
    let text = String(half, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }

  /// Orders by value.
  public static func < (left: HexID, right: HexID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension HexID: Codable {
  /// Reads the text.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let id = HexID(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not 32 hexadecimal digits")
    }
    self = id
  }

  /// Writes the text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// Marks ids of nodes.
public enum NodeKind {}
/// Marks ids of processes.
public enum WorkerKind {}
/// Marks ids of actors.
public enum ActorKind {}
/// Marks ids of placement groups.
public enum GroupKind {}
/// Names a node as the local protocol writes it: its peer id, in hexadecimal.
public typealias NodeID = HexID<NodeKind>
/// Names a process of a runtime job.
public typealias WorkerID = HexID<WorkerKind>
/// Names an actor of a runtime job through all its incarnations.
public typealias RuntimeActorID = HexID<ActorKind>
/// Names a placement group.
public typealias GroupID = HexID<GroupKind>

extension HexID<NodeKind> {
  /// The node of a peer.
  public init(_ peer: PeerID) { self.init(high: peer.high, low: peer.low) }

  /// The node's peer.
  public var peer: PeerID { PeerID(high: high, low: low) }
}
