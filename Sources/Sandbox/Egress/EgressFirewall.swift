internal import IorunCore

/// The firewall on the host for the interface that leads into one sandbox's network namespace, as a
/// table of nftables: put up in one transaction, removed by its name. Nothing in it speaks of other
/// interfaces, so the host's own traffic is as it was.
///
/// What is refused is refused with an ICMP message, so that programs hear of it at once; a packet with
/// an address that is not the sandbox's is dropped.
struct EgressFirewall: Hashable, Sendable {
  /// What the program may do.
  var policy: EgressPolicy
  /// The host's end of the pair that leads into the sandbox.
  var interface: String
  /// The interfaces to the internet; what leaves by another is refused.
  var outside: [String]
  /// The addresses that the sandbox has: packets from others are dropped.
  var addresses: [IPAddress]
  /// How much it may begin.
  var limits: EgressLimits

  /// Describes a firewall. Throws `specInvalid` for names that no interface has.
  init(
    _ policy: EgressPolicy, interface: String, outside: [String], addresses: [IPAddress],
    limits: EgressLimits = EgressLimits()
  ) throws {
    for name in outside + [interface] {
      let isName = name.allSatisfy {
        $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))
      }
      guard isName, (1...15).contains(name.count) else {
        throw IorunError(.specInvalid, "'\(name.prefix(32))' is no name of an interface")
      }
    }
    guard limits.newConnectionsPerSecond > 0, limits.connections > 0 else {
      throw IorunError(.specInvalid, "a limit of a network must be at least 1")
    }
    self.policy = policy
    self.interface = interface
    self.outside = outside
    self.addresses = addresses
    self.limits = limits
  }

  /// The first part of every table's name; an interface's name follows.
  static let tablePrefix = "iorun-egress-"

  /// The table's name.
  var table: String { Self.tablePrefix + interface }

  /// The table as nft(8) reads it. It replaces one of the same name.
  var text: String {
    """
    table inet \(table)
    delete table inet \(table)
    table inet \(table) {
    \(set("refused4", false, EgressPolicy.refused))
    \(set("refused6", true, EgressPolicy.refused))
    \(set("members4", false, policy.members))
    \(set("members6", true, policy.members))
      chain spoofed {
    \(sources)
        drop
      }
      chain out {
        jump spoofed
        ct state established,related accept
        ct state invalid drop
        limit rate over \(limits.newConnectionsPerSecond)/second \
    burst \(limits.newConnectionsPerSecond) packets drop
        ct count over \(limits.connections) drop
        ip daddr @members4 accept
        ip6 daddr @members6 accept
    \(internet)
        reject with icmpx type admin-prohibited
      }
      chain to_host {
        jump spoofed
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        reject with icmpx type admin-prohibited
      }
      chain forward {
        type filter hook forward priority -10; policy accept;
        iifname "\(interface)" jump out
        oifname "\(interface)" ct state established,related accept
        oifname "\(interface)" ip saddr @members4 accept
        oifname "\(interface)" ip6 saddr @members6 accept
        oifname "\(interface)" drop
      }
      chain input {
        type filter hook input priority -10; policy accept;
        iifname "\(interface)" jump to_host
      }
      chain translate {
        type nat hook postrouting priority 100; policy accept;
    \(translations)
      }
    }

    """
  }

  /// What nft(8) reads to remove it.
  var removal: String { "delete table inet \(table)\n" }

  private var sources: String {
    let lines = addresses.map { address in
      "    \(Self.family(address)) saddr \(address) return"
    }
    let neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
    return (lines + ["    ip6 saddr fe80::/10 \(neighbours) return"]).joined(separator: "\n")
  }

  private var outsideSet: String {
    "{ " + outside.map { "\"\($0)\"" }.joined(separator: ", ") + " }"
  }

  private var internet: String {
    guard case .internet = policy, !outside.isEmpty else { return "" }
    let ports = EgressPolicy.refusedPorts.map(String.init).joined(separator: ", ")
    return """
          ip daddr @refused4 reject with icmpx type admin-prohibited
          ip6 daddr @refused6 reject with icmpx type admin-prohibited
          tcp dport { \(ports) } reject with icmpx type admin-prohibited
          oifname \(outsideSet) accept
      """
  }

  private var translations: String {
    guard case .internet = policy, !outside.isEmpty else { return "" }
    return addresses.map { address in
      "    \(Self.family(address)) saddr \(address) oifname \(outsideSet) masquerade"
    }.joined(separator: "\n")
  }

  private static func family(_ address: IPAddress) -> String { address.isIPv6 ? "ip6" : "ip" }

  private func set(_ name: String, _ isIPv6: Bool, _ prefixes: [IPPrefix]) -> String {
    let own = prefixes.filter { $0.address.isIPv6 == isIPv6 }.map { $0.masked.description }
    let elements = own.isEmpty ? "" : "elements = { \(own.joined(separator: ", ")) }"
    return """
        set \(name) {
          type \(isIPv6 ? "ipv6_addr" : "ipv4_addr")
          flags interval
          auto-merge
          \(elements)
        }
      """
  }
}
