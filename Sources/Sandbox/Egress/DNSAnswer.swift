internal import IorunCore

/// What becomes of a resolver's answer.
enum DNSAnswer: Hashable, Sendable {
  /// It is passed on, byte for byte but for its number.
  case good
  /// It names an address that the sandbox may not reach: a name of the outside that leads inside
  /// ("DNS rebinding"), or one of the machine's own network.
  case refused
  /// It is no answer, or not to this question.
  case damaged

  /// Looks at all of an answer.
  ///
  /// - Parameters:
  ///   - id: the number that the question was sent with.
  ///   - allows: whether the sandbox may reach an address.
  static func check(
    _ bytes: [UInt8], to question: DNSQuestion, id: UInt16, allows: (IPAddress) -> Bool
  ) -> DNSAnswer {
    var reader = DNSReader(bytes)
    guard reader.number() == id, let flags = reader.number(), flags & 0xf800 == 0x8000,
      reader.number() == 1, let answers = reader.number(), let authorities = reader.number(),
      let additional = reader.number(), let name = reader.wholeName(),
      lowercased(name) == lowercased(question.name), reader.number() == question.type,
      reader.number() == 1
    else { return .damaged }
    var verdict = DNSAnswer.good
    for _ in 0..<(Int(answers) + Int(authorities) + Int(additional)) {
      guard let record = reader.record() else { return .damaged }
      switch record.type {
      case 1, 28:
        guard record.kind == 1, record.data.count == (record.type == 1 ? 4 : 16),
          let address = IPAddress(bytes: record.data)
        else { return .damaged }
        if !allows(address) { verdict = .refused }
      case DNSQuestion.extensionType: continue
      default: if !DNSQuestion.types.contains(record.type) { verdict = .refused }
      }
    }
    return reader.isAtEnd ? verdict : .damaged
  }

  // Only letters: no length of a label is one.
  private static func lowercased(_ name: [UInt8]) -> [UInt8] {
    name.map { (65...90).contains($0) ? $0 | 0x20 : $0 }
  }
}

/// A record as on the wire (RFC 1035, section 3.2.1), without its name.
struct DNSRecord {
  var type: UInt16
  /// Its class.
  var kind: UInt16
  var timeToLive: UInt32
  var data: ArraySlice<UInt8>
}

/// Steps through a message; every step is `nil` where the message ends too early.
struct DNSReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func number() -> UInt16? {
    guard let bytes = take(2) else { return nil }
    return UInt16(bytes[bytes.startIndex]) << 8 | UInt16(bytes[bytes.startIndex + 1])
  }

  /// A name without pointers, as a question has it: at most 255 bytes.
  mutating func wholeName() -> [UInt8]? {
    var name: [UInt8] = []
    while let length = take(1)?.first {
      name.append(length)
      if length == 0 { return name.count <= 255 ? name : nil }
      guard length < 64, let label = take(Int(length)), name.count < 255 else { return nil }
      name += label
    }
    return nil
  }

  mutating func record() -> DNSRecord? {
    guard skipName(), let type = number(), let kind = number(), let high = number(),
      let low = number(), let length = number(), let data = take(Int(length))
    else { return nil }
    return DNSRecord(
      type: type, kind: kind, timeToLive: UInt32(high) << 16 | UInt32(low), data: data)
  }

  // A pointer ends a name; where it leads does not matter here.
  private mutating func skipName() -> Bool {
    var total = 0
    while let length = take(1)?.first {
      switch length {
      case 0: return true
      case 1..<64:
        total += Int(length) + 1
        guard total <= 255, take(Int(length)) != nil else { return false }
      case 0xc0...: return take(1) != nil
      default: return false
      }
    }
    return false
  }

  private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard rest.count >= count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }
}
