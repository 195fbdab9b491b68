internal import IorunCore

/// One request to the kernel by netlink: a type, flags, a fixed part and attributes (RFC 3549; the
/// attributes' form is `linux/netlink.h`'s). Numbers are in the machine's own byte order unless said.
struct NetlinkMessage: Sendable {
  /// What is asked for, in the protocol's own numbers.
  var type: UInt16
  /// `NetlinkFlags` beside those that every request has.
  var flags: UInt16
  private(set) var body: [UInt8] = []
  /// True where an attribute was longer than its 16-bit length can say.
  private var isTooLong = false

  /// An attribute whose value is attributes.
  static let nestedFlag: UInt16 = 1 << 15
  /// The kernel copies a request into one piece: a larger one is split by its sender.
  static let maximumSize = 256 * 1024
  private static let headerSize = 16

  init(type: UInt16, flags: UInt16 = 0) {
    self.type = type
    self.flags = flags
  }

  /// Adds a number of the fixed part.
  mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value) { body += Array($0) }
  }

  /// Adds bytes of the fixed part.
  mutating func append(bytes: [UInt8]) { body += bytes }

  /// Adds an attribute.
  mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
    guard let length = UInt16(exactly: value.count + 4) else {
      isTooLong = true
      return
    }
    append(length)
    append(type)
    body += value
    body += [UInt8](repeating: 0, count: -body.count & 3)
  }

  /// Adds a number.
  mutating func attribute(_ type: UInt16, number: some FixedWidthInteger) {
    attribute(type, withUnsafeBytes(of: number) { Array($0) })
  }

  /// Adds a text, which the kernel wants to end with a zero byte.
  mutating func attribute(_ type: UInt16, text: String) {
    attribute(type, Array(text.utf8) + [0])
  }

  /// Adds an attribute whose value is the attributes that `fill` adds.
  mutating func nest(_ type: UInt16, _ fill: (inout NetlinkMessage) -> Void) {
    var inner = NetlinkMessage(type: 0)
    fill(&inner)
    attribute(type | Self.nestedFlag, inner.body)
    isTooLong = isTooLong || inner.isTooLong
  }

  /// The bytes to send. Throws `tooLarge`.
  func encoded(sequence: UInt32, extraFlags: UInt16) throws(IorunError) -> [UInt8] {
    let size = Self.headerSize + body.count
    guard !isTooLong, size <= Self.maximumSize else {
      throw IorunError(.tooLarge, "a request to the kernel of \(size) bytes is too long")
    }
    var message = NetlinkMessage(type: 0)
    message.append(UInt32(size))
    message.append(type)
    message.append(flags | extraFlags | NetlinkFlags.request)
    message.append(sequence)
    // The port of the kernel.
    message.append(UInt32(0))
    return message.body + body
  }
}

/// Flags of a request (`linux/netlink.h`).
enum NetlinkFlags {
  static let request: UInt16 = 1
  /// The kernel answers, also where all is well.
  static let acknowledge: UInt16 = 4
  /// All of them, not one.
  static let dump: UInt16 = 0x300
  /// Fails where it is there already.
  static let exclusive: UInt16 = 0x200
  static let replace: UInt16 = 0x100
  static let create: UInt16 = 0x400
  static let append: UInt16 = 0x800
}
