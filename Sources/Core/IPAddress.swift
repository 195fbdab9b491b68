internal import Glibc

/// An IPv4 or IPv6 address, without port, prefix or interface.
public enum IPAddress: Hashable, Sendable {
  /// Four bytes, the first one in the highest bits.
  case v4(UInt32)
  /// Sixteen bytes, the first one in the highest bits of `high`.
  case v6(high: UInt64, low: UInt64)

  /// Takes an address from its 4 or 16 bytes in network order; `nil` for any other length.
  public init?(bytes: some Collection<UInt8>) {
    switch bytes.count {
    case 4: self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      self = .v6(
        high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
        low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) })
    default: return nil
    }
  }

  /// The 4 or 16 bytes in network order.
  public var bytes: [UInt8] {
    switch self {
    case .v4(let value):
      stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) }
    case .v6(let high, let low):
      [high, low].flatMap { half in
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> $0) }
      }
    }
  }

  /// Whether it is an IPv6 address. An IPv4 address mapped into IPv6 counts as IPv6.
  public var isIPv6: Bool {
    if case .v6 = self { true } else { false }
  }

  /// How many bits the family's addresses have: 32 or 128.
  public var bitCount: Int { isIPv6 ? 128 : 32 }

  /// Whether it is only valid together with an interface: 169.254/16 or fe80::/10.
  public var isLinkLocal: Bool {
    switch self {
    case .v4(let value): value >> 16 == 0xa9fe
    case .v6(let high, _): high >> 54 == 0xfe80 >> 6
    }
  }

  /// Whether it means this machine itself: 127/8 or ::1.
  public var isLoopback: Bool {
    switch self {
    case .v4(let value): value >> 24 == 127
    case .v6(let high, let low): high == 0 && low == 1
    }
  }
}

extension IPAddress: LosslessStringConvertible {
  /// Reads `10.1.2.3` or `fd00::1`; `nil` for anything else, names included.
  public init?(_ text: String) {
    guard text.utf8.count < 64 else { return nil }
    var four = in_addr()
    if inet_pton(AF_INET, text, &four) == 1 {
      self = .v4(UInt32(bigEndian: four.s_addr))
      return
    }
    var six = in6_addr()
    guard inet_pton(AF_INET6, text, &six) == 1,
      let address = withUnsafeBytes(of: &six, { IPAddress(bytes: Array($0)) })
    else { return nil }
    self = address
  }

  /// The usual text, for IPv6 as RFC 5952 wants it.
  public var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    _ = inet_ntop(isIPv6 ? AF_INET6 : AF_INET, bytes, &text, socklen_t(text.count))
    return String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension IPAddress: Comparable {
  /// IPv4 before IPv6, then by bytes.
  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    switch (left, right) {
    case (.v4(let one), .v4(let other)): one < other
    case (.v4, .v6): true
    case (.v6, .v4): false
    case (.v6(let high, let low), .v6(let otherHigh, let otherLow)):
      (high, low) < (otherHigh, otherLow)
    }
  }
}

extension IPAddress: Codable {
  /// Reads the textual form.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let address = IPAddress(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not an IP address")
    }
    self = address
  }

  /// Writes the textual form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
