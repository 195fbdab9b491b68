/// An IPv4 or IPv6 address with a port: where datagrams and connections go. An address proves
/// nothing about who is there.
public struct SocketAddress: Hashable, Sendable {
  /// Four bytes (IPv4) or sixteen (IPv6), in network order.
  public let address: [UInt8]
  /// The port.
  public var port: UInt16

  /// Makes an address; `nil` where there are neither 4 nor 16 bytes. An IPv4 address that is written
  /// as an IPv6 one (RFC 4291 2.5.5.2) becomes what it is.
  public init?(address: some Collection<UInt8>, port: UInt16) {
    let bytes = Array(address)
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.address = Self.isMapped(bytes) ? Array(bytes.suffix(4)) : bytes
    self.port = port
  }

  /// Makes an IPv4 address.
  public init(v4 one: UInt8, _ two: UInt8, _ three: UInt8, _ four: UInt8, port: UInt16) {
    address = [one, two, three, four]
    self.port = port
  }

  /// True for IPv4.
  public var isV4: Bool { address.count == 4 }

  /// The same address with another port.
  public func with(port: UInt16) -> SocketAddress {
    var copy = self
    copy.port = port
    return copy
  }

  /// True for 127.0.0.0/8 and ::1.
  public var isLoopback: Bool {
    isV4 ? address[0] == 127 : address.dropLast().allSatisfy { $0 == 0 } && address[15] == 1
  }

  /// True where no datagram can be sent to: unspecified, multicast, broadcast, port 0.
  public var isUnusable: Bool {
    if port == 0 || address.allSatisfy({ $0 == 0 }) { return true }
    return isV4 ? address[0] >= 224 || address[0] == 0 : address[0] == 0xFF
  }

  /// True for addresses that only neighbours of one link know (169.254.0.0/16, fe80::/10).
  public var isLinkLocal: Bool {
    isV4
      ? address[0] == 169 && address[1] == 254
      : address[0] == 0xFE && address[1] & 0xC0 == 0x80
  }

  /// True for addresses that the public internet does not carry: RFC 1918, RFC 6598 (shared by a
  /// carrier's customers), RFC 4193, loopback and link-local ones.
  public var isPrivate: Bool {
    if isLoopback || isLinkLocal { return true }
    guard isV4 else { return address[0] & 0xFE == 0xFC }
    switch (address[0], address[1]) {
    case (10, _), (172, 16...31), (192, 168), (100, 64...127): return true
    default: return false
    }
  }

  private static func isMapped(_ bytes: [UInt8]) -> Bool {
    bytes.count == 16 && bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF
      && bytes[11] == 0xFF
  }
}

extension SocketAddress {
  /// The longest form on the wire, in bytes.
  public static let longestByteCount = 19

  /// The form on the wire: 4 or 6, the address, the port in network order; 7 or 19 bytes.
  public var bytes: [UInt8] {
    [isV4 ? 4 : 6] + address + [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
  }

  /// Reads the form on the wire from the start of `bytes`; also how many bytes it took.
  public static func read(_ bytes: ArraySlice<UInt8>) -> (SocketAddress, byteCount: Int)? {
    guard let family = bytes.first, family == 4 || family == 6 else { return nil }
    let count = family == 4 ? 7 : 19
    guard bytes.count >= count else { return nil }
    let body = bytes.dropFirst().prefix(count - 1)
    let port = UInt16(body[body.endIndex - 2]) << 8 | UInt16(body[body.endIndex - 1])
    guard let address = SocketAddress(address: body.dropLast(2), port: port) else { return nil }
    return (address, count)
  }
}

extension SocketAddress: LosslessStringConvertible {
  /// `192.0.2.1:7070` or `[2001:db8:0:0:0:0:0:1]:7070`.
  public var description: String { "\(isV4 ? host : "[\(host)]"):\(port)" }

  /// The address without its port.
  public var host: String {
    if isV4 { return address.map(String.init).joined(separator: ".") }
    return stride(from: 0, to: 16, by: 2).map {
      String(UInt16(address[$0]) << 8 | UInt16(address[$0 + 1]), radix: 16)
    }.joined(separator: ":")
  }

  /// Reads `HOST:PORT` with a numeric host; IPv6 in brackets, `::` allowed. Names are not looked up.
  public init?(_ description: String) {
    guard description.utf8.count <= 64, let colon = description.lastIndex(of: ":"),
      let port = UInt16(description[description.index(after: colon)...])
    else { return nil }
    self.init(host: String(description[..<colon]), port: port)
  }

  /// Reads a numeric host, with or without brackets.
  public init?(host: String, port: UInt16) {
    var text = host[...]
    if text.first == "[", text.last == "]" { text = text.dropFirst().dropLast() }
    guard let bytes = text.contains(":") ? Self.parseV6(text) : Self.parseV4(text) else {
      return nil
    }
    self.init(address: bytes, port: port)
  }

  private static func parseV4(_ text: Substring) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let bytes = parts.compactMap { $0.count <= 3 ? UInt8($0) : nil }
    return parts.count == 4 && bytes.count == 4 ? bytes : nil
  }

  private static func parseV6(_ text: Substring) -> [UInt8]? {
    func words(_ part: Substring) -> [UInt8]? {
      if part.isEmpty { return [] }
      var bytes: [UInt8] = []
      for word in part.split(separator: ":", omittingEmptySubsequences: false) {
        if word.contains("."), let tail = parseV4(word) {
          bytes += tail
        } else {
          guard (1...4).contains(word.count), let value = UInt16(word, radix: 16) else {
            return nil
          }
          bytes += [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
        }
      }
      return bytes
    }
    guard let gap = text.firstRange(of: "::") else {
      guard let bytes = words(text), bytes.count == 16 else { return nil }
      return bytes
    }
    let rest = text[gap.upperBound...]
    guard let front = words(text[..<gap.lowerBound]), let back = words(rest),
      front.count + back.count <= 14
    else { return nil }
    return front + [UInt8](repeating: 0, count: 16 - front.count - back.count) + back
  }
}

extension SocketAddress: Codable {
  /// Reads the textual form.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let address = SocketAddress(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not an address with a port")
    }
    self = address
  }

  /// Writes the textual form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension SocketAddress: Comparable {
  /// Orders IPv4 before IPv6, then by bytes, then by port.
  public static func < (left: SocketAddress, right: SocketAddress) -> Bool {
    if left.address.count != right.address.count { return left.isV4 }
    if left.address != right.address {
      return left.address.lexicographicallyPrecedes(right.address)
    }
    return left.port < right.port
  }
}
