public import IorunCore

/// The firewall inside a gang's namespace: everything is dropped but what stays on the loopback
/// interface and what members of the gang say to each other through the tunnel. WireGuard's allowed
/// addresses say the same of what comes in; this wall also stands where a rank adds an interface or
/// an address of its own, and before the tunnel has any peer.
///
/// It is one nf_tables table, set by netlink in one transaction: a half-made wall never exists.
public struct GangFirewall: Sendable {
  /// The tunnel's interface.
  public var interface: String
  /// The ranges in which the gang's members have their addresses.
  public var members: [IPPrefix]
  /// An interface to the internet, which has a firewall of its own at its other end; `nil` for none.
  public var outside: String?

  /// The table's name.
  public static let tableName = "iorun"

  /// Describes a firewall.
  public init(interface: String, members: [IPPrefix], outside: String? = nil) {
    self.outside = outside
    self.interface = interface
    self.members = members
  }

  private enum Hook: UInt32, CaseIterable {
    case input = 1
    case forward = 2
    case output = 3
  }

  private enum Number {
    static let subsystem: UInt16 = 10
    static let newTable = subsystem << 8 | 0
    static let newChain = subsystem << 8 | 3
    static let newRule = subsystem << 8 | 6
    static let begin: UInt16 = 16
    static let end: UInt16 = 17
    /// IPv4 and IPv6 at once.
    static let inet: UInt8 = 1
  }

  /// Puts it up in a namespace that has none yet. Blocks. Throws `networkSetup`.
  public func apply(in namespace: NetworkNamespace) throws(IorunError) {
    let netlink = try NetlinkSocket(.netfilter, in: namespace)
    try netlink.batch(messages, "put up the gang's firewall")
  }

  /// Whether this kernel takes such a wall: puts one up in a namespace that is then dropped. Blocks.
  /// Throws `networkSetup`.
  public static func probe() throws(IorunError) {
    try GangFirewall(interface: "iorun0", members: [IPPrefix(host: .v4(0x7f00_0001))])
      .apply(in: try NetworkNamespace())
  }

  var messages: [(message: NetlinkMessage, isSilent: Bool)] {
    var list = [(Self.frame(Number.begin), true)]
    var table = Self.message(Number.newTable, NetlinkFlags.create)
    table.attribute(1, text: Self.tableName)
    list.append((table, false))
    for hook in Hook.allCases { list.append((chain(hook), false)) }
    for hook in Hook.allCases {
      for rule in rules(hook) { list.append((encode(rule, hook), false)) }
    }
    list.append((Self.frame(Number.end), true))
    return list
  }

  private func rules(_ hook: Hook) -> [FirewallRule] {
    switch hook {
    case .input:
      ["lo", outside].compactMap { $0 }.map { FirewallRule(tests: [.input($0)]) }
        + members.map { FirewallRule(tests: [.input(interface), .source($0)]) }
    case .output:
      ["lo", outside].compactMap { $0 }.map { FirewallRule(tests: [.output($0)]) }
        + members.map { FirewallRule(tests: [.output(interface), .destination($0)]) }
    case .forward: []
    }
  }

  private func chain(_ hook: Hook) -> NetlinkMessage {
    var message = Self.message(Number.newChain, NetlinkFlags.create)
    message.attribute(1, text: Self.tableName)
    message.attribute(3, text: "\(hook)")
    message.nest(4) { data in
      data.attribute(1, number: hook.rawValue.bigEndian)
      data.attribute(2, number: Int32(0).bigEndian)  // the priority of filters
    }
    message.attribute(5, number: UInt32(0).bigEndian)  // the policy: drop
    message.attribute(7, text: "filter")
    return message
  }

  private func encode(_ rule: FirewallRule, _ hook: Hook) -> NetlinkMessage {
    var message = Self.message(Number.newRule, NetlinkFlags.create | NetlinkFlags.append)
    message.attribute(1, text: Self.tableName)
    message.attribute(2, text: "\(hook)")
    message.nest(4) { rule.encode(into: &$0) }
    return message
  }

  /// Begins or ends a transaction of nf_tables.
  private static func frame(_ type: UInt16) -> NetlinkMessage {
    var message = NetlinkMessage(type: type)
    message.append(UInt16(0))
    message.append(Number.subsystem.bigEndian)
    return message
  }

  private static func message(_ type: UInt16, _ flags: UInt16) -> NetlinkMessage {
    var message = NetlinkMessage(type: type, flags: flags)
    message.append(Number.inet)
    message.append(UInt8(0))
    message.append(UInt16(0))
    return message
  }
}
