internal import CShim
internal import Foundation
public import IorunCore
internal import Synchronization

/// This machine as the router of its sandboxes: which of its interfaces lead to the internet, and which
/// sandbox has which addresses.
///
/// The kernel forwards from an interface only where that interface says so. For the sandboxes' own that
/// harms nobody; the one to the internet must say so too, for answers. Where it did not before, a table
/// of its own sees to it that nothing but answers to sandboxes is forwarded from there, so that the
/// machine is no more a router for its neighbours than it was.
public final class EgressRouter: Sendable {
  /// The interfaces to the internet.
  public let outside: [String]
  /// Where names are looked up.
  public let resolvers: [SocketAddress]
  /// Whether sandboxes get IPv6: where the machine forwards it already, or can for one interface.
  public let hasIPv6: Bool
  /// The machine's network namespace; -1: the present one.
  let network: Int32
  /// `nil` where this machine has no place for it.
  private let claim: EgressClaim?
  private let slots = Mutex(Set<Int>())

  static let slotCount = 16_384
  static let interfacePrefix = "iorun-x"
  private static let gateTable = "iorun-gate"

  /// Makes the machine ready to forward for sandboxes. Blocks shortly; needs root.
  ///
  /// - Parameters:
  ///   - outside: the interfaces to the internet; `nil`: those of the default routes.
  ///   - resolvers: where names are looked up; `nil`: what /etc/resolv.conf says.
  ///   - network: the namespace that is the machine's own; for tests.
  /// - Throws: `sandboxUnavailable` where there is no way to the internet or a program is missing;
  ///   `sandboxFailed` where the kernel refuses.
  public init(
    outside: [String]? = nil, resolvers: [SocketAddress]? = nil, network: Int32 = -1
  ) throws {
    for program in ["ip", "nft", "sh"] where InstalledProgram.find(program) == nil {
      throw IorunError(
        .sandboxUnavailable, "the program \(program) is missing, which sandboxes' networks need",
        remedy: "Install iproute2 and nftables")
    }
    self.network = network
    let names = try outside ?? Self.defaultInterfaces(network: network)
    guard !names.isEmpty else {
      throw IorunError(
        .sandboxUnavailable, "there is no default route, so sandboxes cannot reach the internet",
        remedy: "Connect the machine and start the node again")
    }
    // Refuses names that are none, before any of them gets into a script.
    _ = try EgressFirewall(.none, interface: Self.interfacePrefix, outside: names, addresses: [])
    self.outside = names
    self.resolvers = resolvers ?? Self.systemResolvers()
    // Before the machine is changed: whoever cleans up meanwhile must see that somebody needs it.
    claim = EgressClaim(network: network)
    claim?.hold()
    hasIPv6 = try Self.forward(from: names, network: network)
    Self.removeLeftovers(network: network)
  }

  /// Removes the tables of sandboxes whose interface is gone: of an agent that was killed. Interfaces go
  /// with their namespace, that is with the last process in it. Where no agent of this machine lives that
  /// leads sandboxes out, its interfaces forward no more either.
  public static func removeLeftovers(network: Int32 = -1) {
    let tables = (try? run("nft", ["list", "tables"], network: network)) ?? ""
    let names = tables.split(separator: "\n").compactMap { $0.split(separator: " ").last }
    for name in names where name.hasPrefix(EgressFirewall.tablePrefix) {
      let interface = String(name.dropFirst(EgressFirewall.tablePrefix.count))
      if (try? run("ip", ["link", "show", "dev", interface], network: network)) == nil {
        _ = try? run("nft", ["delete", "table", "inet", String(name)], network: network)
      }
    }
    guard names.contains(where: { $0.hasPrefix(gateTable) }) else { return }
    EgressClaim(network: network)?.ifLast { shutGates(network: network) }
  }

  /// Runs one of the programs that set up networks, as ``HelperProgram``. Throws `sandboxFailed`.
  static func run(
    _ name: String, _ arguments: [String], input: String? = nil, network: Int32
  ) throws -> String {
    try HelperProgram.run(
      name, arguments, input: input.map { .text($0) } ?? .nothing, network: network,
      failing: .sandboxFailed)
  }

  /// Takes the lowest number from `first` on that no sandbox of this router has.
  func takeSlot(from first: Int = 0) throws -> Int {
    try slots.withLock { slots in
      guard let slot = (first..<Self.slotCount).first(where: { !slots.contains($0) }) else {
        throw IorunError(.sandboxFailed, "there are no addresses left for another sandbox")
      }
      slots.insert(slot)
      return slot
    }
  }

  /// Gives it back.
  func returnSlot(_ slot: Int) { slots.withLock { _ = $0.remove(slot) } }

  /// Lets the machine's interfaces forward no more, where this agent, or one before it, made them, and no
  /// other agent that lives needs that. Call it once no sandbox of this router has a network any more.
  public func close() {
    if let claim {
      claim.ifLast { Self.shutGates(network: network) }
    } else {
      Self.shutGates(network: network)
    }
  }

  // The names of those that a gate speaks of are the ones that it was put up for.
  private static func shutGates(network: Int32) {
    let script = """
      for table in \(gateTable) \(gateTable)6; do
        list=$(nft list table inet $table 2>/dev/null) || continue
        for path in /proc/sys/net/ipv4/conf/*; do
          name=${path##*/}
          case "$list" in *"\\"$name\\""*) ;; *) continue ;; esac
          case $table in
            *6) echo 0 > /proc/sys/net/ipv6/conf/$name/force_forwarding ;;
            *) echo 0 > /proc/sys/net/ipv4/conf/$name/forwarding ;;
          esac
        done
        nft delete table inet $table
      done
      """
    _ = try? run("sh", [], input: script, network: network)
  }

  // Says that the interfaces forward, and keeps from them all that is no answer to a sandbox, where
  // they did not before. Returns whether IPv6 can be had.
  private static func forward(from names: [String], network: Int32) throws -> Bool {
    // The rules stand before the kernel begins to forward. /proc/sys/net is that of the namespace of
    // whoever opens it, so it is opened by a program in there.
    let script = """
      set -eu
      # gate TABLE FAMILY KEY NAME...: those of the interfaces that do not forward get a gate. One that
      # stands already was put up by an agent before this one.
      gate() {
        table=$1 family=$2 key=$3; shift 3
        if nft list table inet $table >/dev/null 2>&1; then return; fi
        shut=
        for name in "$@"; do
          path=/proc/sys/net/$family/conf/$name/$key
          if [ "$(cat $path)" = 0 ]; then shut="$shut${shut:+, }\\"$name\\""; fi
        done
        [ -n "$shut" ] || return 0
        nft -f - <<END
      table inet $table {
        chain forward {
          type filter hook forward priority -20; policy accept;
          meta nfproto $family iifname { $shut } oifname != "\(interfacePrefix)*" drop
        }
      }
      END
        for name in "$@"; do echo 1 > /proc/sys/net/$family/conf/$name/$key; done
      }
      gate \(gateTable) ipv4 forwarding \(names.joined(separator: " "))
      all=/proc/sys/net/ipv6/conf/all
      if [ "$(cat $all/forwarding 2>/dev/null)" = 1 ]; then echo yes
      elif [ -e $all/force_forwarding ]; then
        gate \(gateTable)6 ipv6 force_forwarding \(names.joined(separator: " "))
        echo yes
      else echo no; fi
      """
    return try run("sh", [], input: script, network: network).hasPrefix("yes")
  }

  private static func defaultInterfaces(network: Int32) throws -> [String] {
    var names: [String] = []
    for family in ["-4", "-6"] {
      let routes = try run("ip", [family, "route", "show", "default"], network: network)
      let words = routes.split(whereSeparator: \.isWhitespace).map(String.init)
      for (word, next) in zip(words, words.dropFirst()) where word == "dev" {
        if !names.contains(next) { names.append(next) }
      }
    }
    return names
  }

  // "nameserver ADDRESS" lines of resolv.conf(5), at most three of them.
  private static func systemResolvers() -> [SocketAddress] {
    let text = (try? String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8)) ?? ""
    let addresses = text.split(separator: "\n").compactMap { line -> IPAddress? in
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count >= 2, words[0] == "nameserver" else { return nil }
      return IPAddress(String(words[1]))
    }
    return addresses.prefix(3).map { SocketAddress($0, port: 53) }
  }
}
