import CShim
import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct EgressTests {
  static let reason: Comment = "root, nft, ip or tc is missing: SKIPPED"

  private let members = ["100.70.1.0/24", "fd70::/64"].compactMap { IPPrefix($0) }

  private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

  // Every kind of address that must not be reached, in both families.
  static let private4 = [
    "10.9.9.9", "10.78.0.2", "169.254.169.254", "192.168.3.3", "172.20.1.1", "100.99.1.1",
    "192.0.2.7", "198.18.5.5", "203.0.113.9",
  ]
  static let private6 = [
    "fd00::9", "2001:db8::5", "64:ff9b::a09:909", "2002:a09:909::1", "fec0::1",
  ]
  static let public4 = ["1.1.1.1", "9.9.9.9"]
  static let public6 = ["2606:4700::1111"]

  @Test("every range is one, and private addresses are refused however they are written")
  func policy() throws {
    #expect(EgressPolicy.refused.count == 26)
    let internet = EgressPolicy.internet(members: members)
    let host = [try address("203.5.6.7")]
    for text in [
      "10.1.2.3", "127.0.0.1", "169.254.169.254", "172.31.0.1", "192.168.1.1", "100.64.0.1",
      "224.0.0.1", "255.255.255.255", "0.0.0.0", "198.18.0.1", "::1", "::ffff:10.0.0.1", "fd00::1",
      "fe80::1", "ff02::1", "64:ff9b::a00:1", "2002:a00:1::", "203.5.6.7", "::a00:1",
    ] {
      #expect(!internet.allows(try address(text), host: host), "\(text)")
    }
    for text in ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "100.70.1.9", "fd70::3", "172.32.0.1"] {
      #expect(internet.allows(try address(text), host: host), "\(text)")
    }
    let gang = EgressPolicy.gang(members: members)
    #expect(gang.allows(try address("100.70.1.9")))
    #expect(!gang.allows(try address("1.1.1.1")))
    #expect(!EgressPolicy.none.allows(try address("100.70.1.9")))
  }

  @Test("a name that is none does not get into the rules")
  func names() {
    for name in ["", "a\"; drop", "eth0 accept", String(repeating: "a", count: 16)] {
      #expect(throws: IorunError.self) {
        try EgressFirewall(.none, interface: name, outside: ["eth0"], addresses: [])
      }
      #expect(throws: IorunError.self) {
        try EgressFirewall(.none, interface: "eth0", outside: [name], addresses: [])
      }
    }
  }

  @Test(
    "the kernel lets out what the policy says and nothing else",
    .enabled(if: EgressLab.canRun, reason), arguments: ["internet", "gang"])
  func kernel(name: String) throws {
    let memberAddresses = ["100.70.1.9", "fd70::9"]
    let targets = Self.private4 + Self.private6 + Self.public4 + Self.public6 + memberAddresses
    let lab = try EgressLab(others: targets.filter { $0 != "10.78.0.2" })
    let router = try EgressRouter(outside: ["uplink"], resolvers: [], network: lab.host)
    defer { router.close() }
    #expect(router.hasIPv6)
    let policy: EgressPolicy =
      name == "gang" ? .gang(members: members) : .internet(members: members)
    let network = try EgressNetwork(policy, router: router)
    defer { network.close() }
    // The members' answers find their way back to an address that is not translated.
    for address in network.addresses {
      let via =
        address.isIPv6
        ? "route add \(address)/128 via fd78::1" : "route add \(address)/32 via 10.78.0.1"
      try lab.batch([via], in: lab.world)
    }
    // No mail, but to members, who are asked no questions.
    let places = try targets.flatMap { target in
      try [80, 25].map { SocketAddress(try address(target), port: $0) }
    }
    let fates = EgressLab.connect(from: network.namespace, to: places)
    for (place, fate) in zip(places, fates) {
      let isMember = memberAddresses.contains(place.ip.description)
      let isAllowed = policy.allows(place.ip) && (place.port == 80 || isMember)
      #expect(fate == (isAllowed ? .through : .refused), "\(place)")
    }
    // Nothing of the machine itself: not its end of the pair, not its public address, listening or not.
    let listener = try ResolverSocket.listener(
      at: SocketAddress(try address("0.0.0.0"), port: 8080), in: lab.host)
    defer { close(listener) }
    let base = try #require(network.addresses.first).bytes
    let gateway = try #require(IPAddress(bytes: base.dropLast() + [base[3] - 1]))
    let own = try (EgressLab.hostAddresses + [gateway.description]).flatMap { text in
      try [8080, 81].map { SocketAddress(try address(text), port: $0) }
    }
    for (place, fate) in zip(own, EgressLab.connect(from: network.namespace, to: own)) {
      #expect(fate == .refused, "\(place)")
    }
    // From an address that is not its own: silence.
    try lab.batch(
      [
        "addr add 198.19.77.77/32 dev out0",
        "route replace default via \(gateway) src 198.19.77.77",
      ], in: network.namespace)
    let target = try address(name == "gang" ? memberAddresses[0] : Self.public4[0])
    #expect(
      EgressLab.connect(from: network.namespace, to: target, port: 80, milliseconds: 500)
        == .silence)
    // Two sandboxes do not see each other.
    let other = try EgressNetwork(.internet(members: []), router: router)
    let neighbours = network.addresses.map { SocketAddress($0, port: 80) }
    #expect(EgressLab.connect(from: other.namespace, to: neighbours) == [.refused, .refused])
    other.close()
    network.close()
    let tables = try lab.tables()
    #expect(tables == ["iorun-gate", "iorun-gate6"])
    router.close()
    #expect(try lab.tables() == [])
  }

  @Test("a network of nobody has nobody", .enabled(if: EgressLab.canRun, reason))
  func nobody() throws {
    let network = try EgressNetwork(.none, router: nil)
    defer { network.close() }
    for text in ["1.1.1.1", "10.0.0.1", "169.254.169.254", "2606:4700::1111"] {
      #expect(
        EgressLab.connect(from: network.namespace, to: try address(text), port: 80) == .refused)
    }
    #expect(network.addresses == [])
    #expect(throws: IorunError.self) { try EgressNetwork(.internet(members: []), router: nil) }
  }

  @Test(
    "the machine forwards for its neighbours no more than before",
    .enabled(if: EgressLab.canRun, reason))
  func gate() throws {
    let lab = try EgressLab(others: ["1.1.1.1"])
    // A network behind the machine that a neighbour would like to reach.
    let behind = iorun_netns_create()
    defer { close(behind) }
    try lab.batch(
      [
        "link add lan type veth peer name eth0 netns /proc/\(getpid())/fd/\(behind)",
        "addr add 192.168.7.1/24 dev lan", "link set lan up",
      ], in: lab.host)
    try lab.batch(
      [
        "addr add 192.168.7.2/24 dev eth0", "link set eth0 up", "route add default via 192.168.7.1",
      ],
      in: behind)
    try lab.batch(["route add 192.168.7.0/24 via 10.78.0.1"], in: lab.world)
    func reach() throws -> EgressLab.Fate {
      EgressLab.connect(
        from: lab.world, to: try address("192.168.7.2"), port: 80, milliseconds: 500)
    }
    #expect(try reach() != .through)
    let router = try EgressRouter(outside: ["uplink"], resolvers: [], network: lab.host)
    #expect(try reach() != .through)
    router.close()
    #expect(try reach() != .through)
    // One that forwards already is left as it is.
    _ = try EgressRouter.run(
      "sh", [], input: "echo 1 > /proc/sys/net/ipv4/ip_forward", network: lab.host)
    #expect(try reach() == .through)
    let second = try EgressRouter(outside: ["uplink"], resolvers: [], network: lab.host)
    #expect(try reach() == .through)
    second.close()
    #expect(try reach() == .through)
  }

  @Test(
    "what a killed agent leaves is removed, and another agent's is not",
    .enabled(if: EgressLab.canRun, reason))
  func leftovers() throws {
    let lab = try EgressLab(others: [])
    let first = try EgressRouter(outside: ["uplink"], resolvers: [], network: lab.host)
    let network = try EgressNetwork(.internet(members: []), router: first)
    // As a dead agent's: a table whose interface is gone.
    let dead = try EgressFirewall(
      .none, interface: "iorun-x77", outside: ["uplink"], addresses: [])
    _ = try EgressRouter.run("nft", ["-f", "-"], input: dead.text, network: lab.host)
    let second = try EgressRouter(outside: ["uplink"], resolvers: [], network: lab.host)
    #expect(try !lab.tables().contains(dead.table))
    #expect(try lab.tables().contains("iorun-egress-iorun-x0"))
    // It takes the next number, for the first one is another's.
    let next = try EgressNetwork(.internet(members: []), router: second)
    #expect(next.addresses != network.addresses)
    next.close()
    network.close()
    second.close()
    // The first one's sandboxes still need the way out.
    #expect(try lab.tables() == ["iorun-gate", "iorun-gate6"])
    first.close()
    #expect(try lab.tables() == [])
  }

  @Test(
    "the gates of a killed agent are shut by the next, and not those of one that lives",
    .enabled(if: EgressLab.canRun, reason))
  func gatesLeft() throws {
    let lab = try EgressLab(others: [])
    func forwards(_ interface: String = "uplink") throws -> String {
      try EgressRouter.run(
        "sh", [], input: "cat /proc/sys/net/ipv4/conf/\(interface)/forwarding", network: lab.host
      ).trimmingCharacters(in: .whitespacesAndNewlines)
    }
    // One that its owner lets forward, and whose name is a part of the other's.
    _ = try EgressRouter.run(
      "sh", [],
      input: """
        set -e
        ip link add name uplin type veth peer name uplin-end
        echo 1 > /proc/sys/net/ipv4/conf/uplin/forwarding
        """, network: lab.host)
    var router: EgressRouter? = try EgressRouter(
      outside: ["uplink"], resolvers: [], network: lab.host)
    #expect(router != nil)
    EgressRouter.removeLeftovers(network: lab.host)
    #expect(try lab.tables().contains("iorun-gate"))
    #expect(try forwards() == "1")
    // As when its process ends: nothing is closed, and what it held the kernel lets go of.
    router = nil
    #expect(try lab.tables().contains("iorun-gate"))
    EgressRouter.removeLeftovers(network: lab.host)
    #expect(try lab.tables() == [])
    #expect(try forwards() == "0")
    #expect(try forwards("uplin") == "1")
  }

  @Test(
    "no more is sent or received than the limits say", .enabled(if: EgressLab.canRun, reason))
  func bandwidth() throws {
    let lab = try EgressLab(others: ["1.1.1.1"])
    let router = try EgressRouter(outside: ["uplink"], resolvers: [], network: lab.host)
    defer { router.close() }
    let network = try EgressNetwork(
      .internet(members: []),
      limits: EgressLimits(sentPerSecond: .mebi(2), receivedPerSecond: .mebi(4)), router: router)
    defer { network.close() }
    let sent = try EgressRouter.run("tc", ["qdisc", "show"], network: network.namespace)
    #expect(sent.contains("tbf") && sent.contains("16777Kbit"), "\(sent)")
    let received = try EgressRouter.run("tc", ["qdisc", "show"], network: lab.host)
    #expect(received.contains("tbf") && received.contains("33554Kbit"), "\(received)")
    // A second's worth and the burst is all that gets through in a second; a link without a limit
    // carries a hundred times as much.
    let listener = try ResolverSocket.listener(
      at: SocketAddress(try address("1.1.1.1"), port: 80), in: lab.world)
    defer { close(listener) }
    let bytes = try address("1.1.1.1").bytes
    let client = iorun_tcp_begin_connect(network.namespace, bytes, 4, 80)
    defer { close(client) }
    var waits = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
    try #require(poll(&waits, 1, 30_000) == 1)
    let server = iorun_local_accept(listener)
    defer { close(server) }
    let start = ContinuousClock.now
    let piece = [UInt8](repeating: 7, count: 64 << 10)
    var room = piece
    var total = 0
    while ContinuousClock.now - start < .seconds(1) {
      send(client, piece, piece.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
      waits[0] = pollfd(fd: server, events: Int16(POLLIN), revents: 0)
      if poll(&waits, 1, 10) > 0 {
        total += max(0, recv(server, &room, room.count, Int32(MSG_DONTWAIT)))
      }
    }
    let allowed = Double((ContinuousClock.now - start) / .seconds(1)) * Double(2 << 20) + 256 * 1024
    #expect(total > 0)
    #expect(Double(total) <= allowed)
  }
}
