internal import IorunCore

/// One message of the kernel's.
struct NetlinkReply: Hashable, Sendable {
  /// What it is, in the protocol's own numbers.
  var type: UInt16
  /// Which request it answers.
  var sequence: UInt32
  /// The fixed part and the attributes.
  var payload: [UInt8]

  static let error: UInt16 = 2
  static let done: UInt16 = 3
  private static let headerSize = 16

  /// Splits what one read gave into messages. Throws `malformed`.
  static func split(_ bytes: [UInt8]) throws(IorunError) -> [NetlinkReply] {
    var replies: [NetlinkReply] = []
    var rest = bytes[...]
    while rest.count >= headerSize {
      guard let length = rest.number(UInt32.self, at: 0),
        let type = rest.number(UInt16.self, at: 4),
        let sequence = rest.number(UInt32.self, at: 8), length >= headerSize, length <= rest.count
      else { throw IorunError(.malformed, "the kernel's netlink message is cut") }
      replies.append(
        NetlinkReply(
          type: type, sequence: sequence,
          payload: Array(rest.dropFirst(headerSize).prefix(Int(length) - headerSize))))
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
    return replies
  }

  /// The errno of an answer that says how a request went; 0 for success, `nil` for other messages.
  var errorNumber: Int32? {
    guard type == Self.error || type == Self.done else { return nil }
    return -(payload[...].number(Int32.self, at: 0) ?? 0)
  }

  /// The attributes behind a fixed part of `offset` bytes.
  func attributes(after offset: Int) -> NetlinkAttributes {
    NetlinkAttributes(payload.dropFirst(offset))
  }
}

/// The attributes of a message, by type; of several with one type the last. What is cut is left out:
/// newer kernels add what older programs do not know.
struct NetlinkAttributes: Sendable {
  /// Each attribute in order, with the flags of its type removed.
  private(set) var list: [(type: UInt16, value: ArraySlice<UInt8>)] = []

  init(_ bytes: some Collection<UInt8>) {
    var rest = Array(bytes)[...]
    while let length = rest.number(UInt16.self, at: 0), let type = rest.number(UInt16.self, at: 2),
      length >= 4, length <= rest.count
    {
      list.append((type & 0x3fff, rest.dropFirst(4).prefix(Int(length) - 4)))
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
  }

  subscript(type: UInt16) -> ArraySlice<UInt8>? { list.last { $0.type == type }?.value }

  /// A number; `nil` where there is none or it is too short.
  func number<Number: FixedWidthInteger>(_ type: UInt16, as: Number.Type = Number.self) -> Number? {
    self[type]?.number(Number.self, at: 0)
  }

  /// A text up to its zero byte.
  func text(_ type: UInt16) -> String? {
    self[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

extension ArraySlice<UInt8> {
  /// The number that stands `offset` bytes behind the start; `nil` where the bytes end before.
  func number<Number: FixedWidthInteger>(_: Number.Type, at offset: Int) -> Number? {
    guard count >= offset + MemoryLayout<Number>.size else { return nil }
    return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
  }
}
