import Foundation
import IorunCore
import Testing

@testable import IorunTunnel

@Suite(.enabled(if: Rights.canMakeNamespaces, "\(Rights.needed)"), .serialized)
struct `The firewall of a gang` {
  @Test func `lets members through the tunnel and drops all else`() throws {
    let (inside, outside) = (try NetworkNamespace(), try NetworkNamespace())
    let routes = try RouteSocket(in: inside)
    try routes.makePair("iorun0", peer: "wire", in: outside)
    for (space, name, host) in [(inside, "iorun0", 1), (outside, "wire", 2)] as [(_, String, Int)] {
      let socket = try RouteSocket(in: space)
      let link = try socket.link(name)
      for text in [
        "100.64.7.\(host)/24", "100.64.8.\(host)/24", "fd07::\(host)/64", "fd08::\(host)/64",
      ] {
        try socket.addAddress(try prefix(text), to: link)
      }
      try socket.bringUp(link)
      try socket.bringUp(try socket.link("lo"))
    }
    func reaches(
      _ address: String, from space: NetworkNamespace, within seconds: Double = 10
    ) throws -> Bool {
      let local = address == "127.0.0.1"
      let target = local ? space : (space === inside ? outside : inside)
      return try Reach.tcp(address, from: space, to: target, within: seconds)
    }
    // A wire resolves addresses first: IPv6 does that with packets that the wall would drop.
    #expect(try reaches("fd07::2", from: inside))
    #expect(try reaches("100.64.8.1", from: outside))
    try GangFirewall(
      interface: "iorun0", members: [try prefix("100.64.7.0/24"), try prefix("fd07::/64")]
    ).apply(in: inside)
    #expect(try reaches("100.64.7.2", from: inside))
    #expect(try reaches("100.64.7.1", from: outside))
    #expect(try reaches("fd07::2", from: inside))
    #expect(try reaches("127.0.0.1", from: inside))
    // Addresses that are there and routed, but no member's.
    #expect(try !reaches("100.64.8.1", from: outside, within: 0.5))
    #expect(try !reaches("100.64.8.2", from: inside, within: 0.5))
    #expect(try !reaches("fd08::1", from: outside, within: 0.5))
  }

  @Test func `is what nft reads`() throws {
    try #require(FileManager.default.isExecutableFile(atPath: "/usr/sbin/nft"))
    let space = try NetworkNamespace()
    try GangFirewall(
      interface: "iorun0", members: [try prefix("100.64.16.0/22"), try prefix("fd07:1:2:3::/64")]
    ).apply(in: space)
    let (status, text) = try Rights.run(["nft", "list", "ruleset"], in: space)
    #expect(status == 0)
    let lines = Set(text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) })
    for line in [
      "table inet iorun {",
      "type filter hook input priority filter; policy drop;",
      "type filter hook output priority filter; policy drop;",
      "type filter hook forward priority filter; policy drop;",
      "iifname \"lo\" accept", "oifname \"lo\" accept",
      "iifname \"iorun0\" ip saddr 100.64.16.0/22 accept",
      "oifname \"iorun0\" ip daddr 100.64.16.0/22 accept",
      "iifname \"iorun0\" ip6 saddr fd07:1:2:3::/64 accept",
      "oifname \"iorun0\" ip6 daddr fd07:1:2:3::/64 accept",
    ] {
      #expect(lines.contains(line), "\(line) is missing in:\n\(text)")
    }
  }

  @Test func `is put up whole or not at all`() throws {
    let space = try NetworkNamespace()
    let netlink = try NetlinkSocket(.netfilter, in: space)
    var messages = GangFirewall(interface: "iorun0", members: []).messages
    // The second chain is a chain of a table that is not there.
    var wrong = NetlinkMessage(type: 10 << 8 | 3, flags: NetlinkFlags.create)
    wrong.append(UInt32(1))
    wrong.attribute(1, text: "nowhere")
    wrong.attribute(3, text: "input")
    messages.insert((wrong, false), at: 3)
    #expect(throws: IorunError.self) { try netlink.batch(messages, "test") }
    let (_, text) = try Rights.run(["nft", "list", "ruleset"], in: space)
    #expect(text == "")
  }

  @Test func `can be tried without a trace`() throws {
    try GangFirewall.probe()
    let (_, text) = try Rights.run(["nft", "list", "tables"], in: try NetworkNamespace())
    #expect(text == "")
  }

  private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
}
