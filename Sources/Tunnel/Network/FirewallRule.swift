internal import IorunCore

/// One accepting rule of a gang's firewall, as nf_tables expressions (`linux/netfilter/nf_tables.h`).
/// A packet that fails a test leaves the rule; one that passes all is accepted.
struct FirewallRule: Hashable, Sendable {
  /// What a packet must be.
  enum Test: Hashable, Sendable {
    /// It came in by this interface.
    case input(String)
    /// It goes out by this interface.
    case output(String)
    /// Its source is in this range.
    case source(IPPrefix)
    /// Its destination is in this range.
    case destination(IPPrefix)
  }

  /// All of them must hold.
  var tests: [Test]

  /// Adds the rule's expressions to a list of them.
  func encode(into list: inout NetlinkMessage) {
    for test in tests { Self.encode(test, into: &list) }
    list.expression("immediate") { data in
      data.attribute(1, number: UInt32(0))  // the verdict register
      data.nest(2) { value in
        value.nest(2) { $0.attribute(1, number: UInt32(1).bigEndian) }  // accept
      }
    }
  }

  private static func encode(_ test: Test, into list: inout NetlinkMessage) {
    switch test {
    case .input(let name): encode(interface: name, key: 6, into: &list)
    case .output(let name): encode(interface: name, key: 7, into: &list)
    case .source(let prefix): encode(prefix, offset: (12, 8), into: &list)
    case .destination(let prefix): encode(prefix, offset: (16, 24), into: &list)
    }
  }

  private static func encode(interface: String, key: UInt32, into list: inout NetlinkMessage) {
    meta(key, into: &list)
    // The register holds the name with zero bytes behind it, 16 in all.
    let name = Array(interface.utf8.prefix(15))
    compare(name + [UInt8](repeating: 0, count: 16 - name.count), into: &list)
  }

  /// `offset` is where the address stands in the header of IPv4 and of IPv6.
  private static func encode(
    _ prefix: IPPrefix, offset: (four: UInt32, six: UInt32), into list: inout NetlinkMessage
  ) {
    let isIPv6 = prefix.address.isIPv6
    meta(15, into: &list)  // the layer 3 protocol
    compare([prefix.address.family], into: &list)
    let size = prefix.address.bitCount / 8
    list.expression("payload") { data in
      data.attribute(1, number: UInt32(1).bigEndian)  // to register 1
      data.attribute(2, number: UInt32(1).bigEndian)  // from the network header
      data.attribute(3, number: (isIPv6 ? offset.six : offset.four).bigEndian)
      data.attribute(4, number: UInt32(size).bigEndian)
    }
    let mask = (0..<size).map { index -> UInt8 in
      UInt8(truncatingIfNeeded: 0xff00 >> min(8, max(0, prefix.length - index * 8)))
    }
    list.expression("bitwise") { data in
      data.attribute(1, number: UInt32(1).bigEndian)
      data.attribute(2, number: UInt32(1).bigEndian)
      data.attribute(3, number: UInt32(size).bigEndian)
      data.nest(4) { $0.attribute(1, mask) }
      data.nest(5) { $0.attribute(1, [UInt8](repeating: 0, count: size)) }
    }
    compare(prefix.network.bytes, into: &list)
  }

  private static func meta(_ key: UInt32, into list: inout NetlinkMessage) {
    list.expression("meta") { data in
      data.attribute(2, number: key.bigEndian)
      data.attribute(1, number: UInt32(1).bigEndian)
    }
  }

  private static func compare(_ value: [UInt8], into list: inout NetlinkMessage) {
    list.expression("cmp") { data in
      data.attribute(1, number: UInt32(1).bigEndian)
      data.attribute(2, number: UInt32(0).bigEndian)  // equal
      data.nest(3) { $0.attribute(1, value) }
    }
  }
}

extension NetlinkMessage {
  /// Adds an element with one expression to a list.
  fileprivate mutating func expression(
    _ name: String, _ fill: (inout NetlinkMessage) -> Void
  ) {
    nest(1) { element in
      element.attribute(1, text: name)
      element.nest(2, fill)
    }
  }
}
