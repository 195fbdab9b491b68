import Foundation
import IorunContract
import IorunCore
import IorunSandbox
import IorunTunnel

/// One gang's network on this node, made and not yet connected, or connected.
struct LocalGangNetwork: Sendable {
  let seat: OverlaySeat
  let namespace: NetworkNamespace
  /// The tunnel; `nil` where the gang has one node.
  let device: (any TunnelDevice)?
  /// The files of the network.
  let folder: String
  /// How other nodes reach it; completed by those who look for paths.
  var member: TunnelMember?
  /// The way to the internet; `nil` where the gang has none.
  private let outside: EgressNetwork?

  /// The interface that has the node's addresses.
  var interface: String { device == nil ? "lo" : GangNetworks.interface }

  /// The node's addresses in it.
  var addresses: [IPAddress] {
    [seat.network.four(of: seat.node), seat.network.six(of: seat.node)]
  }

  /// Makes the namespace with its loopback interface and its firewall, then the tunnel into it: at no
  /// time is there a way in or out that the firewall does not guard. `internet` leads it to the
  /// internet, too; `limits` are the tunnel's rates. Throws `networkSetup`, `addressInUse`, `fileSystem`, `diskFull`.
  init(
    _ seat: OverlaySeat, backend: any TunnelBackend, folder: String,
    internet: InternetAccess? = nil, limits: EgressLimits? = nil
  ) async throws {
    self.seat = seat
    self.folder = folder
    let isAlone = seat.nodeCount == 1
    (namespace, outside) = try await Blocking.run {
      try Self.makeFolder(folder)
      let space = try NetworkNamespace()
      let routes = try RouteSocket(in: space)
      let loopback = try routes.link("lo")
      try routes.bringUp(loopback)
      if isAlone {
        try routes.addAddress(IPPrefix(host: seat.network.four(of: 0)), to: loopback)
        // A kernel without IPv6 runs gangs, too.
        try? routes.addAddress(IPPrefix(host: seat.network.six(of: 0)), to: loopback)
      }
      try GangFirewall(
        interface: GangNetworks.interface,
        members: isAlone ? [] : [seat.network.four.masked, seat.network.six.masked],
        outside: internet == nil ? nil : EgressNetwork.interface
      ).apply(in: space)
      return (space, try internet?.lead(space.descriptor))
    }
    guard !isAlone else {
      (device, member) = (nil, nil)
      return
    }
    let key = try TunnelPrivateKey()
    let addresses = [
      IPPrefix(seat.network.four(of: seat.node), length: seat.network.four.length),
      IPPrefix(seat.network.six(of: seat.node), length: 64),
    ].compactMap { $0 }
    do {
      device = try await backend.open(
        TunnelConfig(
          interfaceName: GangNetworks.interface, privateKey: key, addresses: addresses),
        in: .namespace(descriptor: namespace.descriptor))
    } catch {
      outside?.close()
      // Whatever it was, it is this node's fault and not the job's: the head looks for another.
      throw IorunError(
        .networkSetup, "no tunnel by \(backend.name) could be made for a gang's network",
        remedy: (error as? IorunError)?.remedy, cause: error)
    }
    if let limits {
      do {
        try await Blocking.run { [namespace] in
          try limits.apply(to: GangNetworks.interface, in: namespace.descriptor)
        }
      } catch {
        await device?.close()
        outside?.close()
        throw IorunError(
          .networkSetup, "a gang's network cannot be kept to the rate that this node lends",
          remedy: "Install iproute2 and nftables, or join with --gang-mbps 0", cause: error)
      }
    }
    member = TunnelMember(publicKey: try key.publicKey.bytes, endpoints: [])
  }

  /// Names the members and lets their packets in. Returns the tunnel's peers. Throws `malformed`, and
  /// what the tunnel throws.
  func connect(
    _ gang: GangNetwork, _ id: GangID, paths: any GangPaths, hostname: String
  ) async throws -> [TunnelPeer] {
    let hosts = GangHosts(
      seat: seat, nodes: gang.nodes, hostname: hostname, resolver: outside?.resolverFile)
    try await Blocking.run { [folder] in try hosts.write(to: folder) }
    guard let device, let own = member.flatMap({ TunnelPublicKey(bytes: $0.publicKey) }) else {
      return []
    }
    // Only the head knows all keys: one that is not ours at our place would let another node in.
    guard gang.members[seat.node].publicKey == own.bytes else {
      throw IorunError(.malformed, "the head names another key for this node's tunnel")
    }
    var peers: [GangPeer] = []
    var ends: [TunnelPeer] = []
    for (node, member) in gang.members.enumerated() where node != seat.node {
      guard let key = TunnelPublicKey(bytes: member.publicKey) else { continue }
      let peer = GangPeer(node: node, key: key, member: member)
      peers.append(peer)
      let end = TunnelPeer(
        publicKey: key, presharedKey: TunnelPresharedKey(bytes: gang.presharedKey),
        allowedIPs: [
          IPPrefix(host: seat.network.four(of: node)), IPPrefix(host: seat.network.six(of: node)),
        ],
        endpoint: await paths.firstEndpoint(of: peer, in: id),
        // The lower key says something at once and then now and then, so the session is there
        // before the first rank speaks, and a router on the way remembers it.
        keepalive: own < key ? Self.keepalive : nil,
        // Two ends that begin at once over a way with delay refuse each other's answers.
        startsHandshakes: own < key)
      try await device.setPeer(end)
      ends.append(end)
    }
    await paths.attach(id, device: device, own: seat.node, peers: peers)
    try await fitWays(gang.members)
    return ends
  }

  /// Narrows the tunnel to what the ways of all its members carry whole.
  private func fitWays(_ members: [TunnelMember]) async throws {
    let narrowest = members.compactMap(\.pathMTU).min().map { TunnelConfig.mtu(onPath: $0) }
    guard let mtu = narrowest, mtu < TunnelConfig.defaultMTU else { return }
    try await Blocking.run { [namespace] in
      let routes = try RouteSocket(in: namespace)
      try routes.bringUp(routes.link(GangNetworks.interface), mtu: mtu)
    }
  }

  /// Returns when there is a session with every one of `peers`, or after `patience`: a node that is
  /// late, or out of reach, must not keep the ranks from saying so themselves.
  func waitForSessions(with peers: [TunnelPeer], atMost patience: Duration) async {
    guard let device else { return }
    let start = ContinuousClock.now
    // Our own WireGuard keeps messages that come before it knows their sender; others drop them, and
    // their sender tries again after 5 s.
    var isToNudge = device.socket == nil
    while ContinuousClock.now - start < patience, let counters = try? await device.counters(),
      counters.values.contains(where: { $0.sinceHandshake == nil })
    {
      if isToNudge, ContinuousClock.now - start >= Self.nudgeAfter {
        isToNudge = false
        for peer in peers
        where !peer.startsHandshakes && counters[peer.publicKey]?.sinceHandshake == nil {
          // What is to be kept alive is greeted at once.
          var nudged = peer
          nudged.endpoint = nil
          nudged.keepalive = Self.keepalive
          try? await device.setPeer(nudged)
        }
      }
      // A look costs a microsecond or so for each peer.
      let pause = Duration.milliseconds(counters.count < 100 ? 4 : 50)
      guard (try? await Task.sleep(for: pause)) != nil else { return }
    }
  }

  /// How often a peer is sent something, so that routers on the way remember it.
  private static let keepalive = Duration.seconds(20)
  /// After how long the end that should not begin begins after all: later than the other end's first
  /// message can be under way, because two ends that begin at once refuse each other's answers.
  private static let nudgeAfter = Duration.milliseconds(250)

  /// Ends the tunnel and lets go of the namespace.
  func remove() async {
    await device?.close()
    _ = try? await Blocking.run { [folder, outside] in
      outside?.close()
      try FileManager.default.removeItem(atPath: folder)
    }
  }

  private static func makeFolder(_ folder: String) throws {
    do {
      try? FileManager.default.removeItem(atPath: folder)
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    } catch {
      throw FileFailure.error(error, "cannot make", folder)
    }
  }
}
