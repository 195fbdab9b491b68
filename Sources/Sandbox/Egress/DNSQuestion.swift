internal import IorunCore

/// One question of a sandbox to its resolver (RFC 1035, section 4; EDNS of RFC 6891), as far as we read
/// one: whatever else a query brings is not passed on.
struct DNSQuestion: Hashable, Sendable {
  /// What the sandbox calls it.
  var id: UInt16
  /// The name as on the wire: labels with their lengths, and a zero.
  var name: [UInt8]
  var type: UInt16
  /// Whether it said that it understands EDNS.
  var isExtended: Bool
  /// Whether it asks for signatures (DNSSEC OK, RFC 3225).
  var wantsSignatures: Bool
  /// The largest answer over UDP that it takes, in bytes.
  var sizeLimit: Int

  /// The kinds of records that are passed on. None of them but A and AAAA holds an address; those that
  /// do (SVCB and HTTPS with their hints, APL, IPSECKEY and so on) are left out.
  static let types: Set<UInt16> = [
    1,  // A
    2,  // NS
    5,  // CNAME
    6,  // SOA
    12,  // PTR
    15,  // MX
    16,  // TXT
    28,  // AAAA
    33,  // SRV
    35,  // NAPTR
    39,  // DNAME
    43,  // DS
    46,  // RRSIG
    47,  // NSEC
    48,  // DNSKEY
    50,  // NSEC3
    52,  // TLSA
    257,  // CAA
  ]
  static let extensionType: UInt16 = 41
  static let sizes = 512...1232

  /// Whether it is asked on; else the answer is that there is nothing.
  var isPassedOn: Bool { Self.types.contains(type) }

  /// Reads a query; `nil` for what is none of ours to answer.
  init?(_ bytes: [UInt8]) {
    var reader = DNSReader(bytes)
    guard let id = reader.number(), let flags = reader.number(), let questions = reader.number(),
      let answers = reader.number(), let authorities = reader.number(),
      let additional = reader.number(),
      // A question (QR 0) of the standard kind (OPCODE 0).
      flags & 0xf800 == 0, questions == 1, answers == 0, authorities == 0, additional <= 1,
      let name = reader.wholeName(), let type = reader.number(), let kind = reader.number(),
      kind == 1
    else { return nil }
    self.id = id
    self.name = name
    self.type = type
    isExtended = false
    wantsSignatures = false
    sizeLimit = Self.sizes.lowerBound
    if additional == 1 {
      guard let record = reader.record(), record.type == Self.extensionType else { return nil }
      isExtended = true
      wantsSignatures = record.timeToLive & 0x8000 != 0
      sizeLimit = min(max(Int(record.kind), Self.sizes.lowerBound), Self.sizes.upperBound)
    }
    guard reader.isAtEnd else { return nil }
  }

  /// What is sent to the machine's own resolver.
  func query(id: UInt16) -> [UInt8] {
    // Recursion desired.
    var bytes = Self.header(id: id, flags: 0x0100, additional: isExtended ? 1 : 0)
    bytes += name + Self.pair(type) + Self.pair(1)
    if isExtended {
      bytes += [0] + Self.pair(Self.extensionType) + Self.pair(UInt16(sizeLimit))
      bytes += [0, 0, wantsSignatures ? 0x80 : 0, 0, 0, 0]
    }
    return bytes
  }

  /// An answer without records.
  func reply(_ code: DNSReplyCode, isTruncated: Bool = false) -> [UInt8] {
    let flags: UInt16 = 0x8180 | (isTruncated ? 0x0200 : 0) | UInt16(code.rawValue)
    return Self.header(id: id, flags: flags, additional: 0) + name + Self.pair(type) + Self.pair(1)
  }

  private static func header(id: UInt16, flags: UInt16, additional: UInt16) -> [UInt8] {
    pair(id) + pair(flags) + [0, 1, 0, 0, 0, 0] + pair(additional)
  }

  private static func pair(_ value: UInt16) -> [UInt8] {
    [UInt8(value >> 8), UInt8(value & 0xff)]
  }
}

/// Codes of RFC 1035, section 4.1.1.
enum DNSReplyCode: UInt8 {
  case fine = 0
  case failed = 2
  case refused = 5
}
