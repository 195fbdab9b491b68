/// A range of IP addresses: all that agree with one in its first bits, for example `10.1.2.0/24`.
/// The bits behind these may be set, so that it can also be an interface's address with its net.
public struct IPPrefix: Hashable, Sendable {
  /// An address of the range.
  public let address: IPAddress
  /// How many leading bits count: 0 to 32, or to 128 for IPv6.
  public let length: Int

  /// Makes a range; `nil` where the family's addresses have fewer than `length` bits.
  public init?(_ address: IPAddress, length: Int) {
    guard (0...address.bitCount).contains(length) else { return nil }
    self.address = address
    self.length = length
  }

  /// The range of just one address.
  public init(host address: IPAddress) {
    self.address = address
    length = address.bitCount
  }

  /// The first address of the range.
  public var network: IPAddress {
    switch address {
    case .v4(let value): .v4(length == 0 ? 0 : value & ~UInt32(0) << UInt32(32 - length))
    case .v6(let high, let low):
      .v6(
        high: high & Self.mask(min(length, 64)), low: low & Self.mask(max(length - 64, 0)))
    }
  }

  /// The same range, with no bits set behind those that count.
  public var masked: IPPrefix { IPPrefix(unchecked: network, length: length) }

  /// Whether `other` is in the range; never across families.
  public func contains(_ other: IPAddress) -> Bool {
    other.isIPv6 == address.isIPv6
      && IPPrefix(unchecked: other, length: length).network == network
  }

  /// Whether the two ranges share an address.
  public func overlaps(_ other: IPPrefix) -> Bool {
    length <= other.length ? contains(other.address) : other.contains(address)
  }

  private init(unchecked address: IPAddress, length: Int) {
    self.address = address
    self.length = length
  }

  private static func mask(_ bits: Int) -> UInt64 {
    bits == 0 ? 0 : ~UInt64(0) << UInt64(64 - bits)
  }
}

extension IPPrefix: LosslessStringConvertible {
  /// Reads `10.1.2.0/24`, or an address alone, which is the range of just itself.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(String(first)) else { return nil }
    guard parts.count == 2 else {
      self.init(host: address)
      return
    }
    guard parts[1].allSatisfy(\.isNumber), let length = Int(parts[1]) else { return nil }
    self.init(address, length: length)
  }

  /// The address, a slash, the length.
  public var description: String { "\(address)/\(length)" }
}

extension IPPrefix: Codable {
  /// Reads the textual form.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let prefix = IPPrefix(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not a range of IP addresses")
    }
    self = prefix
  }

  /// Writes the textual form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
