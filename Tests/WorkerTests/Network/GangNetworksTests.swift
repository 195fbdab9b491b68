import Foundation
import Glibc
import IorunContract
import IorunCore
import IorunSandbox
import IorunTunnel
import Logging
import Testing

@testable import IorunWorker

@Suite(
  "The networks of gangs on a node",
  .enabled(if: Rights.canMakeNamespaces, "network namespaces need root: SKIPPED"), .serialized)
struct GangNetworksTests {
  @Test("with one node are a namespace with the gang's address and nothing else")
  func alone() async throws {
    let stage = try await Place()
    let grant = try Place.grant(nodeCount: 1)
    #expect(try await stage.networks.prepare(grant) == nil)
    let network = try await stage.networks.connect(grant.id, to: Place.start(members: [], [0]))
    #expect(network.interface == "lo")
    let up = try RouteSocket(in: network.namespace).links().filter(\.isUp).map(\.name)
    #expect(up == ["lo"])
    let (end, output) = try await stage.run(
      """
      set -e
      grep '^100.64.5.1 .*rank-0' /etc/hosts
      grep nameserver /etc/resolv.conf
      ls /sys/class/net
      exec 3<>/dev/tcp/100.64.5.1/9 || echo refused
      exec 3<>/dev/tcp/192.0.2.1/9 || echo no way
      """, network)
    #expect(end.cause == .exited(status: 0), "\(output)")
    #expect(output.contains("rank-0") && output.contains("nameserver 127.0.0.1"))
    #expect(output.contains("Network is unreachable") && output.contains("no way"))
    #expect(output.contains("Connection refused") && output.contains("refused"))
    // The rank sees its own interfaces where programs look for them.
    #expect(!output.contains("eth0"))
    await stage.networks.release(grant.id)
    #expect(await stage.networks.gangs.isEmpty)
    #expect(!FileManager.default.fileExists(atPath: network.folder))
  }

  @Test("belong to all ranks of the gang, and go with the last")
  func shared() async throws {
    let stage = try await Place()
    let (first, second) = (
      try Place.grant(rank: 0, nodeCount: 1), try Place.grant(rank: 1, nodeCount: 1)
    )
    for grant in [first, second] { _ = try await stage.networks.prepare(grant) }
    let start = Place.start(members: [], [0, 0])
    let one = try await stage.networks.connect(first.id, to: start)
    let other = try await stage.networks.connect(second.id, to: start)
    #expect(one.namespace.number == other.namespace.number)
    await stage.networks.release(first.id)
    await stage.networks.release(first.id)
    #expect(await stage.networks.gangs == [GangID(first.id)])
    await stage.networks.release(second.id)
    #expect(await stage.networks.gangs.isEmpty)
    // Again under the same name, as after an overruled grant.
    _ = try await stage.networks.prepare(first)
    await stage.networks.release(first.id)
  }

  @Test("refuse what contradicts itself, and leave nothing then")
  func contradictions() async throws {
    let stage = try await Place()
    var grant = try Place.grant(nodeCount: 2)
    grant.network?.node = 2
    let wrong = grant
    await #expect(throws: IorunError.self) { try await stage.networks.prepare(wrong) }
    grant.network = nil
    let none = grant
    await #expect(throws: IorunError.self) { try await stage.networks.prepare(none) }
    #expect(await stage.networks.gangs.isEmpty)
    await #expect(throws: IorunError.self) {
      try await stage.networks.connect(none.id, to: Place.start(members: [], [0]))
    }
    let broken = try await Place(BrokenBackend())
    let good = try Place.grant(nodeCount: 2)
    await #expect(throws: IorunError.self) { try await broken.networks.prepare(good) }
    #expect(await broken.networks.gangs.isEmpty)
  }

  @Test("that ask for the internet reach it, and nothing private, nor the machine")
  func internet() async throws {
    guard InternetAccess.find(megabitsPerSecond: nil) != nil else {
      print("SKIPPED: iproute2, nftables or a default route is missing")
      return
    }
    // A machine with a neighbour, who has a public address, too.
    let (machine, world) = (try NetworkNamespace(), try NetworkNamespace())
    try await Place.ip(
      [
        "link set lo up",
        "link add uplink type veth peer name far netns /proc/\(getpid())/fd/\(world.descriptor)",
        "addr add 10.78.0.1/24 dev uplink", "link set uplink up",
        "route add default via 10.78.0.2",
      ], in: machine)
    try await Place.ip(
      [
        "link set lo up", "addr add 10.78.0.2/24 dev far", "link set far up",
        "addr add 93.184.216.34/32 dev lo",
      ], in: world)
    let access = InternetAccess(megabitsPerSecond: 100) {
      try EgressRouter(outside: ["uplink"], resolvers: [], network: machine.descriptor)
    }
    let stage = try await Place(internet: access)
    var grant = try Place.grant(nodeCount: 1)
    grant.spec.network = .internet
    _ = try await stage.networks.prepare(grant)
    let network = try await stage.networks.connect(grant.id, to: Place.start(members: [], [0]))
    let (end, output) = try await stage.run(
      """
      grep nameserver /etc/resolv.conf
      try() { echo "$1: $( (exec 3<>/dev/tcp/$1/9) 2>&1 | tail -1 )"; }
      for host in 93.184.216.34 10.78.0.2 10.78.0.1 198.19.0.1 169.254.169.254; do try $host; done
      """, network)
    #expect(end.cause == .exited(status: 0), "\(output)")
    #expect(output.contains("nameserver 127.0.0.53"), "\(output)")
    for line in output.split(separator: "\n") where line.contains(": ") && !line.contains("name") {
      // Who is reached and does not listen refuses; the firewall says that there is no way.
      let isReached = line.contains("Connection refused")
      #expect(isReached == line.hasPrefix("93.184.216.34"), "\(output)")
    }
    #expect(output.split(separator: "\n").count == 6, "\(output)")
    await stage.networks.release(grant.id)
    // A node that leads nobody out says so.
    let closed = try await Place()
    await #expect(throws: IorunError.self) { try await closed.networks.prepare(grant) }
    #expect(await closed.networks.gangs.isEmpty)
  }

  @Test("of two nodes take no larger packets than the narrower way of the two carries whole")
  func narrow() async throws {
    guard let backend = await DataPlaneProbe().find().backend else {
      print("SKIPPED: no tunnel backend is at hand")
      return
    }
    let places = [try await Place(backend), try await Place(backend)]
    var members: [TunnelMember] = []
    var grants: [LeaseGrant] = []
    for (node, place) in places.enumerated() {
      let grant = try Place.grant(rank: node, node: node, nodeCount: 2)
      grants.append(grant)
      members.append(try #require(try await place.networks.prepare(grant)))
    }
    members[0].pathMTU = 1500
    members[1].pathMTU = 1420
    let start = Place.start(members: members, [0, 1])
    for (place, grant) in zip(places, grants) {
      let network = try await place.networks.connect(grant.id, to: start)
      let (_, said) = try await place.run("cat /sys/class/net/iorun0/mtu", network)
      // 88 bytes are for IPv6, UDP, WireGuard and a relay.
      #expect(said.contains("1332"), "\(said)")
      await place.networks.release(grant.id)
    }
    members[1].pathMTU = 40
    #expect(throws: IorunError.self) { try members[1].check() }
  }

  @Test("of two nodes are kept to the rate that the owner lends")
  func rate() async throws {
    guard let backend = await DataPlaneProbe().find().backend else {
      print("SKIPPED: no tunnel backend is at hand")
      return
    }
    guard ["tc", "nft"].allSatisfy({ InstalledProgram.find($0) != nil }) else {
      print("SKIPPED: tc or nft is missing")
      return
    }
    let place = try await Place(
      backend, limits: EgressLimits(sentPerSecond: .mebi(1), receivedPerSecond: .mebi(1)))
    let far = try await Place(backend)
    let grant = try Place.grant(nodeCount: 2)
    let other = try Place.grant(rank: 1, node: 1, nodeCount: 2)
    let members = [
      try #require(try await place.networks.prepare(grant)),
      try #require(try await far.networks.prepare(other)),
    ]
    let network = try await place.networks.connect(
      grant.id, to: Place.start(members: members, [0, 1]))
    let nsenter = Process()
    let output = Pipe()
    nsenter.executableURL = URL(fileURLWithPath: "/usr/bin/nsenter")
    nsenter.arguments = [
      "--net=/proc/\(getpid())/fd/\(network.namespace.descriptor)", "sh", "-c",
      "tc qdisc show dev iorun0; nft list table inet iorun-rate",
    ]
    nsenter.standardOutput = output
    try nsenter.run()
    let said = try await Blocking.run { try output.fileHandleForReading.readToEnd() }
    let text = String(decoding: said ?? Data(), as: UTF8.self)
    #expect(text.contains("tbf") && text.contains("8388Kbit"), "\(text)")
    #expect(text.contains("limit rate over 1 mbytes/second"), "\(text)")
    await place.networks.release(grant.id)
    await far.networks.release(other.id)
  }

  @Test("use the kernel's tunnels first only where the machine has an address of its own")
  func backends() throws {
    func first(_ addresses: String...) throws -> String? {
      DataPlaneProbe.ranked(on: try addresses.map { try #require(IPAddress($0)) }).first?.name
    }
    let kernel = KernelWireGuard().name
    #expect(try first("192.168.1.7", "10.0.0.1", "100.64.3.2", "fd00::1") != kernel)
    #expect(try first() != kernel)
    #expect(try first("10.0.0.1", "93.184.216.34") == kernel)
    #expect(try first("2606:2800:220:1::1") == kernel)
  }

  @Test("of two nodes are joined by a tunnel that carries only what members send")
  func tunnel() async throws {
    guard let backend = await DataPlaneProbe().find().backend else {
      print("SKIPPED: no tunnel backend is at hand")
      return
    }
    let places = [try await Place(backend), try await Place(backend)]
    var grants: [LeaseGrant] = []
    var members: [TunnelMember] = []
    for (node, place) in places.enumerated() {
      let grant = try Place.grant(rank: node, node: node, nodeCount: 2)
      grants.append(grant)
      let member = try #require(try await place.networks.prepare(grant))
      try member.check()
      #expect(member.endpoints.first?.host == "127.0.0.1")
      members.append(member)
    }
    // A head that was taken over may not put another key in this node's place.
    await #expect(throws: IorunError.self) {
      try await places[0].networks.connect(
        grants[0].id, to: Place.start(members: members.reversed(), [0, 1]))
    }
    let again = try await Place(backend)
    members[0] = try #require(try await again.networks.prepare(grants[0]))
    let start = Place.start(members: members, [0, 1])
    let ends = [
      try await again.networks.connect(grants[0].id, to: start),
      try await places[1].networks.connect(grants[1].id, to: start),
    ]
    #expect(ends.map(\.interface) == ["iorun0", "iorun0"])
    async let listening = again.run(
      "exec timeout 20 python3 -c \"import socket as s; l=s.create_server(('100.64.5.1',29500)); "
        + "print(l.accept()[1][0])\"", ends[0])
    let (dialled, said) = try await places[1].run(
      "for i in $(seq 100); do (exec 3<>/dev/tcp/rank-0/29500) 2>/dev/null && exit 0; sleep 0.05; "
        + "done; exit 1", ends[1])
    #expect(dialled.cause == .exited(status: 0), "\(said)")
    let (heard, text) = try await listening
    #expect(heard.cause == .exited(status: 0) && text.contains("100.64.5.2"), "\(text)")
    for (place, grant) in zip([places[0], places[1], again], [grants[0], grants[1], grants[0]]) {
      await place.networks.release(grant.id)
    }
  }
}

/// What these tests need of the machine.
enum Rights {
  static let canMakeNamespaces = geteuid() == 0 && (try? NetworkNamespace()) != nil
}

/// A backend that makes nothing.
private struct BrokenBackend: TunnelBackend {
  let name = "broken"
  func probe() async -> TunnelSupport { .available }
  func open(_: TunnelConfig, in _: TunnelPlace) async throws -> any TunnelDevice {
    throw IorunError(.networkSetup, "broken")
  }
}

/// A node's networks with a folder of their own.
private struct Place {
  let folder: TemporaryFolder
  let networks: GangNetworks

  init(
    _ backend: any TunnelBackend = BrokenBackend(), internet: InternetAccess? = nil,
    limits: EgressLimits? = nil
  ) async throws {
    folder = try TemporaryFolder()
    networks = GangNetworks(
      backend: backend, facts: Sample.facts(), addresses: { [] }, stateFolder: folder.path,
      internet: internet, limits: limits,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  static func grant(rank: Int = 0, node: Int = 0, nodeCount: Int) throws -> LeaseGrant {
    var grant = Sample.grant(rank: rank, ranks: 2)
    grant.network = OverlaySeat(
      network: OverlayNetwork(
        four: try #require(IPPrefix("100.64.5.0/24")), six: try #require(IPPrefix("fd05::/64"))),
      node: node, nodeCount: nodeCount)
    return grant
  }

  static func start(members: [TunnelMember], _ nodes: [Int]) -> GangNetwork {
    GangNetwork(presharedKey: [UInt8](repeating: 5, count: 32), members: members, nodes: nodes)
  }

  /// Runs lines of ip(8) in a namespace.
  static func ip(_ lines: [String], in space: NetworkNamespace) async throws {
    let ip = Process()
    ip.executableURL = URL(fileURLWithPath: "/usr/bin/nsenter")
    let script = lines.map { "ip \($0)" }.joined(separator: "\n")
    ip.arguments = [
      "--net=/proc/\(getpid())/fd/\(space.descriptor)", "sh", "-ec", script,
    ]
    try ip.run()
    ip.waitUntilExit()
    try #require(ip.terminationStatus == 0)
  }

  func run(_ script: String, _ network: RankNetwork) async throws -> (RankProcess.End, String) {
    let log = try RankLog(file: folder.path + "/log")
    var launch = RealProcesses.launch(["/bin/bash", "-c", script], in: folder)
    launch.network = network
    let end = await (try RankProcess.start(launch, log: log)).end()
    return (end, String(decoding: try log.read(from: 0, atMost: 1 << 20), as: UTF8.self))
  }
}
