public import IorunCore

/// What a frame of the local protocol is. See proto/local.md.
public struct LocalKind: RawRepresentable, Hashable, Sendable {
  /// The byte on the wire.
  public let rawValue: UInt8
  /// Names a kind by its byte.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Process to hub, answered once.
  public static let request = Self(rawValue: 0x01)
  /// Hub to process: the answer.
  public static let response = Self(rawValue: 0x02)
  /// Hub to process, unasked.
  public static let event = Self(rawValue: 0x03)
  /// Process to hub, unanswered.
  public static let note = Self(rawValue: 0x04)
  /// A parcel for a process behind another hub.
  public static let relay = Self(rawValue: 0x20)
  /// The first frame of a direct connection.
  public static let greet = Self(rawValue: 0x21)
  /// True for what processes say to each other in their SDK's own words.
  public var isPeer: Bool { (0x10...0x1f).contains(rawValue) }
}

/// The 16 bytes before every body: little-endian, as the machine has them.
public struct LocalHeader: Hashable, Sendable {
  /// How many bytes a header has.
  public static let byteCount = 16
  /// How many of them `length` counts.
  static let countedBytes = 12

  /// What the frame is.
  public var kind: LocalKind
  /// Free for peer frames; 0 from the hub.
  public var flags: UInt8
  /// An operation, or 0 and 1 for a response's success and failure.
  public var aux: UInt16
  /// Which request; 0 where there is none.
  public var number: UInt64
  /// How many bytes follow the header.
  public var bodyCount: Int

  /// Describes a frame.
  public init(
    kind: LocalKind, flags: UInt8 = 0, aux: UInt16 = 0, number: UInt64 = 0, bodyCount: Int
  ) {
    self.kind = kind
    self.flags = flags
    self.aux = aux
    self.number = number
    self.bodyCount = bodyCount
  }

  /// Reads a header from the first 16 bytes of `bytes`.
  ///
  /// - Throws: `malformed` for a length below the header's own, `tooLarge` beyond the limit.
  public init(_ bytes: UnsafeRawBufferPointer) throws {
    precondition(bytes.count >= Self.byteCount)
    let length = Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
    guard length >= Self.countedBytes else {
      throw IorunError(
        .malformed, "a local frame says that it has \(length) bytes; 12 is the least")
    }
    guard length <= LocalLimits.frameBytes else {
      throw IorunError(
        .tooLarge, "a local frame of \(length) bytes; at most \(LocalLimits.frameBytes)",
        remedy: "Send it in parts, or through the object store")
    }
    kind = LocalKind(rawValue: bytes[4])
    flags = bytes[5]
    aux = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
    number = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    bodyCount = length - Self.countedBytes
  }

  /// Writes the header into the first 16 bytes of `target`.
  public func write(to target: UnsafeMutableRawBufferPointer) {
    precondition(target.count >= Self.byteCount)
    let length = UInt32(Self.countedBytes + bodyCount)
    target.storeBytes(of: length.littleEndian, as: UInt32.self)
    target[4] = kind.rawValue
    target[5] = flags
    target.storeBytes(of: aux.littleEndian, toByteOffset: 6, as: UInt16.self)
    target.storeBytes(of: number.littleEndian, toByteOffset: 8, as: UInt64.self)
  }

  /// Appends the header.
  public func append(to bytes: inout [UInt8]) {
    withUnsafeTemporaryAllocation(byteCount: Self.byteCount, alignment: 8) { space in
      write(to: space)
      bytes.append(contentsOf: UnsafeRawBufferPointer(space))
    }
  }
}

/// Bounds of the local protocol.
public enum LocalLimits {
  /// The versions that this code speaks: the newest and, once there is one, the one before.
  public static let versions = ProtocolVersions(oldest: 1, newest: 1)
  /// The largest frame, without its first four bytes.
  public static let frameBytes = 32 << 20
  /// The largest JSON part.
  public static let jsonBytes = 1 << 20
  /// The deepest nesting of the JSON part.
  public static let jsonDepth = 32
  /// The most bytes that wait for one process.
  public static let waitingBytes = 256 << 20
  /// The most requests of a process that are not answered yet.
  public static let openRequests = 65_536
  /// The most connections of one job on a node.
  public static let connectionsPerJob = 4096
  /// The most log lines that wait for a driver.
  public static let waitingLines = 10_000
  /// Bytes of a relay body before the parcel: node id and worker id.
  public static let relayAddressBytes = 32
}
