internal import IorunCore
internal import IorunWire

/// What Swift processes of a job say to each other: the peer frames of the local protocol. Bodies are
/// little-endian; values in them are CBOR.
extension LocalKind {
  /// A call of a distributed method; `number` is the caller's, `aux` the length of the target.
  static let call = Self(rawValue: 0x10)
  /// How a call, a creation or a fetch ended; `aux` is a `ReplyKind`.
  static let reply = Self(rawValue: 0x11)
  /// The caller of `number` gave up.
  static let cancelCall = Self(rawValue: 0x12)
  /// A task for a leased worker.
  static let task = Self(rawValue: 0x13)
  /// How a task ended; `aux` is a `ReplyKind`.
  static let taskDone = Self(rawValue: 0x14)
  /// An actor to make in the receiving process.
  static let createActor = Self(rawValue: 0x15)
  /// No more calls come from the actor's creator; `flags` 1: end it at once.
  static let releaseActor = Self(rawValue: 0x16)
  /// Give back tasks that have not started, at most `number`.
  static let steal = Self(rawValue: 0x17)
  /// Tasks that were given back: their numbers.
  static let stolen = Self(rawValue: 0x18)
  /// Asks an object's owner for its value; answered by `reply`.
  static let fetch = Self(rawValue: 0x19)
  /// The sender has given a reference of an object of the receiver's to a third process.
  static let borrow = Self(rawValue: 0x1a)
  /// The sender has no reference left; says how many times it was given one.
  static let unborrow = Self(rawValue: 0x1b)
  /// One result of a streaming task.
  static let streamItem = Self(rawValue: 0x1c)
  /// The consumer of a stream has taken items.
  static let streamCredit = Self(rawValue: 0x1d)
  /// The owner of a task gives it up; `flags` 1: end the process.
  static let cancelTask = Self(rawValue: 0x1e)
  /// What the lease that the receiver serves was given: its GPUs.
  static let leaseInfo = Self(rawValue: 0x1f)
}

/// How something ended.
enum ReplyKind {
  /// A value follows.
  static let value: UInt16 = 0
  /// No value is owed.
  static let nothing: UInt16 = 1
  /// A failure follows.
  static let failure: UInt16 = 2
  /// The value is in a node's object store.
  static let stored: UInt16 = 3
}

/// Builds frames in place.
enum FrameWriter {
  /// Appends one frame whose body `body` writes.
  static func append(
    _ kind: LocalKind, flags: UInt8 = 0, aux: UInt16 = 0, number: UInt64 = 0,
    to bytes: inout [UInt8], body: (inout [UInt8]) throws -> Void
  ) throws {
    let start = bytes.count
    LocalHeader(kind: kind, flags: flags, aux: aux, number: number, bodyCount: 0).append(to: &bytes)
    try body(&bytes)
    let length = bytes.count - start - 4
    guard length <= LocalLimits.frameBytes else {
      throw IorunError(
        .tooLarge, "a message of \(length) bytes; at most \(LocalLimits.frameBytes) fit",
        remedy: "Put large values into the object store with `cluster.put` and send the reference")
    }
    bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: UInt32(length).littleEndian, toByteOffset: start, as: UInt32.self)
    }
  }
}

extension [UInt8] {
  mutating func append(integer value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }

  mutating func append<Kind>(id: HexID<Kind>) {
    append(integer: id.high.byteSwapped)
    append(integer: id.low.byteSwapped)
  }

  mutating func append(object: ObjectID) {
    append(id: object.owner)
    append(integer: object.counter)
    append(integer: object.index)
  }

  /// A u32 length and the bytes.
  mutating func append(block: [UInt8]) {
    append(integer: UInt32(block.count))
    append(contentsOf: block)
  }

  /// A u32 length and the text.
  mutating func append(text: String) {
    append(integer: UInt32(text.utf8.count))
    append(contentsOf: text.utf8)
  }
}

/// Reads a frame's body. Every read is checked: the bytes come from another process.
struct FrameCursor {
  private(set) var rest: UnsafeRawBufferPointer

  init(_ body: UnsafeRawBufferPointer) { rest = body }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws
    -> Value
  {
    Value(littleEndian: try take(MemoryLayout<Value>.size).loadUnaligned(as: Value.self))
  }

  mutating func id<Kind>(_ type: HexID<Kind>.Type) throws -> HexID<Kind> {
    let bytes = try take(16)
    return HexID(
      high: bytes.loadUnaligned(as: UInt64.self).byteSwapped,
      low: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self).byteSwapped)
  }

  mutating func object() throws -> ObjectID {
    ObjectID(
      owner: try id(WorkerID.self), counter: try integer(UInt64.self),
      index: try integer(UInt32.self))
  }

  mutating func block() throws -> [UInt8] {
    Array(try take(Int(try integer(UInt32.self))))
  }

  mutating func text() throws -> String {
    try text(count: Int(try integer(UInt32.self)))
  }

  mutating func text(count: Int) throws -> String {
    String(decoding: try take(count), as: UTF8.self)
  }

  mutating func remainder() -> [UInt8] {
    defer { rest = UnsafeRawBufferPointer(rebasing: rest[rest.count...]) }
    return Array(rest)
  }

  mutating func take(_ count: Int) throws -> UnsafeRawBufferPointer {
    guard count >= 0, count <= rest.count else {
      throw IorunError(.malformed, "a frame ends \(count - rest.count) bytes too early")
    }
    defer { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
    return UnsafeRawBufferPointer(rebasing: rest[..<count])
  }
}
