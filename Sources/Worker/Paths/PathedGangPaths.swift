internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPath
internal import IorunTunnel
internal import Logging
internal import Synchronization

/// Finds the ways between the tunnels of a gang's nodes with the tunnels' own sockets: by a relay at
/// once, straight as soon as both NATs are open, by the relay again where that breaks.
final class PathedGangPaths: GangPaths {
  /// How long a tunnel waits for any way before it sends to the first address that its peer named.
  static let patience = Duration.seconds(4)
  /// A relay is not used so long where the peer is on the same network: the straight way comes.
  static let relayDelay = Duration.milliseconds(500)
  /// How often reflectors are asked what they see of a tunnel's socket.
  static let gatherEvery = Duration.seconds(25)
  /// How often it is looked whether peers have lost their relays, and for how long at most the head
  /// is left alone where it has no other one.
  static let relayEvery = Duration.seconds(5)
  static let relayAtMost = Duration.seconds(60)

  private struct Held: Sendable {
    var place: PathPlace
    var tasks: [Task<Void, Never>]
    var peers: [PeerID: String] = [:]
  }

  private struct State {
    var agent: NodePathAgent?
    var gangs: [GangID: Held] = [:]
  }

  private let state = Mutex(State())
  private let headAddress: String
  private let logger: Logger

  init(headAddress: String, logger: Logger) {
    self.headAddress = headAddress
    self.logger = logger
  }

  /// Completes the pair: the node's search knows the relays.
  func attach(_ agent: NodePathAgent) { state.withLock { $0.agent = agent } }

  func announce(_ member: TunnelMember, of gang: GangID, device: any TunnelDevice) async
    -> TunnelMember
  {
    guard let agent = state.withLock({ $0.agent }) else { return member }
    var announced = member
    announced.pathMTU = await agent.pathMTU
    // The kernel's tunnel and wireguard-go keep their sockets to themselves: direct ways only.
    guard let socket = device.socket, let key = try? X25519() else { return announced }
    let keeper = PathKeeper(channel: TunnelChannel(socket), key: key)
    let place = PathPlace(keeper: keeper, headAddress: headAddress)
    await keeper.start()
    // Beside the gang's start, which must not wait for it: the other end hears of it by the relay.
    let gathering = Task {
      while !Task.isCancelled {
        await place.gather(await agent.freshRelays())
        guard (try? await Task.sleep(for: Self.gatherEvery)) != nil else { return }
      }
    }
    state.withLock { $0.gangs[gang] = Held(place: place, tasks: [gathering]) }
    announced.pathKey = key.publicKey
    return announced
  }

  func firstEndpoint(of peer: GangPeer, in gang: GangID) async -> TunnelEndpoint? {
    let first = peer.member.endpoints.first
    guard state.withLock({ $0.gangs[gang] }) != nil, peer.member.pathKey != nil else {
      return first.map { TunnelEndpoint($0) }
    }
    return Self.neighbour(peer.member).map { TunnelEndpoint($0) }
  }

  func attach(
    _ gang: GangID, device: any TunnelDevice, own: Int, peers: [GangPeer]
  ) async {
    guard
      let (held, agent) = state.withLock({ state in
        state.gangs[gang].flatMap { held in state.agent.map { (held, $0) } }
      })
    else { return }
    let (routes, input) = AsyncStream.makeStream(of: (GangPeer, PathRoute?).self)
    let follower = Task { [logger] in
      var latest: [Int: PathRoute] = [:]
      for await (peer, route) in routes {
        latest[peer.node] = route
        guard let route else { continue }
        if !route.isDirect, Self.neighbour(peer.member) != nil {
          try? await Task.sleep(for: Self.relayDelay)
        }
        do {
          try await device.setEndpoint(TunnelEndpoint(route), of: peer.key)
        } catch {
          logger.warning("the way to node \(peer.node) of gang \(gang) stays: \(error)")
        }
      }
    }
    let search = Task { [logger] in
      var passes: [Int: GangPass] = [:]
      for attempt in 0..<3 {
        do {
          for pass in try await agent.gangPasses(gang.job, attempt: gang.attempt) {
            passes[pass.node] = pass
          }
          break
        } catch {
          logger.debug("no relay for gang \(gang): \(error)")
          guard (try? await Task.sleep(for: .milliseconds(300 << attempt))) != nil else { return }
        }
      }
      var life = PassLife()
      life.given(passes.values.map(\.pass.expiresAt), at: Self.unixSeconds())
      for peer in peers {
        await self.begin(peer, passes[peer.node], gang, own: own, held.place) {
          input.yield((peer, $0))
        }
      }
      guard (try? await Task.sleep(for: Self.patience)) != nil else { return }
      for peer in peers {
        let status = await held.place.keeper.status("node \(peer.node)")
        guard status?.route == nil, let first = peer.member.endpoints.first else { continue }
        try? await device.setEndpoint(TunnelEndpoint(first), of: peer.key)
      }
      await self.keepRelays(of: peers.map(\.node), life, gang, agent, held.place)
    }
    state.withLock { $0.gangs[gang]?.tasks += [follower, search] }
    await agent.setOthers(gang.description) { [weak self] in
      await self?.summaries(gang) ?? []
    }
  }

  func detach(_ gang: GangID) async {
    let (held, agent) = state.withLock { ($0.gangs.removeValue(forKey: gang), $0.agent) }
    for task in held?.tasks ?? [] { task.cancel() }
    await held?.place.stop()
    await agent?.setOthers(gang.description, nil)
  }

  /// Asks the head for other passes where relays do not answer any more, and for newer ones at half of
  /// their life, until the task is cancelled. The relay is kept even where there is a direct way: it is
  /// what is left when that breaks.
  private func keepRelays(
    of nodes: [Int], _ life: PassLife, _ gang: GangID, _ agent: NodePathAgent, _ place: PathPlace
  ) async {
    var life = life
    var wait = Self.relayEvery
    while (try? await Task.sleep(for: wait)) != nil {
      var lost: Set<Int> = []
      for node in nodes {
        if await place.keeper.lacksRelay("node \(node)") { lost.insert(node) }
      }
      let isDue = life.isDue(at: Self.unixSeconds())
      guard !lost.isEmpty || isDue else {
        wait = Self.relayEvery
        continue
      }
      // A relay that is given needs some seconds to answer, and the head some to notice its end.
      wait = min(wait * 1.5, Self.relayAtMost)
      do {
        let passes = try await agent.gangPasses(gang.job, attempt: gang.attempt)
        for pass in passes where isDue || lost.contains(pass.node) {
          try await place.setRelay(
            "node \(pass.node)", pass.pass, port: pass.relayPort,
            streamPort: pass.relayStreamPort, isRenewal: !lost.contains(pass.node))
        }
        if isDue { life.given(passes.map(\.pass.expiresAt), at: Self.unixSeconds()) }
      } catch {
        logger.debug("no other relay for gang \(gang): \(error)")
      }
    }
  }

  private static func unixSeconds() -> UInt64 { UInt64(max(0, Date().timeIntervalSince1970)) }

  private func begin(
    _ peer: GangPeer, _ pass: GangPass?, _ gang: GangID, own: Int, _ place: PathPlace,
    onRoute: @escaping @Sendable (PathRoute?) -> Void
  ) async {
    guard let key = peer.member.pathKey else { return }
    let offer = PathOffer(
      peer: pass?.peer ?? PeerID(high: 0, low: UInt64(peer.node)), name: "node \(peer.node)",
      end: PathEnd(
        key: key, natClass: .unknown,
        candidates: Candidate.sorted(
          peer.member.endpoints.map { Candidate($0.isPrivate ? .host : .mapped, $0) })),
      relay: pass?.pass, relayPort: pass?.relayPort ?? 0,
      relayStreamPort: pass?.relayStreamPort ?? 0, isCaller: own < peer.node)
    do {
      try await place.add(
        offer.name, offer, context: Array(gang.description.utf8), onRoute: onRoute)
      state.withLock { $0.gangs[gang]?.peers[offer.peer] = offer.name }
    } catch {
      logger.warning("no search for a way to node \(peer.node) of gang \(gang): \(error)")
    }
  }

  private func summaries(_ gang: GangID) async -> [PathSummary] {
    guard let held = state.withLock({ $0.gangs[gang] }) else { return [] }
    var all: [PathSummary] = []
    for (peer, name) in held.peers {
      guard let status = await held.place.keeper.status(name) else { continue }
      all.append(PathSummary(peer, purpose: gang.description, status))
    }
    return all
  }

  /// The address of a peer on a network of this machine, or on this machine: no search is needed.
  private static func neighbour(_ member: TunnelMember) -> SocketAddress? {
    let own = OwnAddresses.all(port: 0)
    return member.endpoints.first { endpoint in
      endpoint.isLoopback
        || own.contains { address in
          // Home and office networks are /24 and /64 and seldom anything else; a wrong guess costs
          // the time until the first pong.
          address.isV4 == endpoint.isV4
            && address.address.prefix(endpoint.isV4 ? 3 : 8)
              == endpoint.address.prefix(endpoint.isV4 ? 3 : 8)
        }
    }
  }
}

extension TunnelEndpoint {
  /// The endpoint of a route.
  fileprivate init(_ route: PathRoute) {
    self.init(
      route.address,
      relayHeader: route.relayHeader.flatMap { RelayHeader(rawValue: $0) })
  }
}

/// A tunnel's socket as the search for paths uses it.
private final class TunnelChannel: DatagramChannel {
  private let socket: any TunnelSocket

  init(_ socket: any TunnelSocket) { self.socket = socket }

  var port: UInt16 { socket.port }

  func send(_ datagram: [UInt8], to address: SocketAddress, timeToLive: Int?) {
    // A datagram that cannot go is lost, as on any line; the search sends another.
    try? socket.send(datagram, to: address, timeToLive: timeToLive)
  }

  func onDatagram(_ handler: (@Sendable ([UInt8], SocketAddress) -> Void)?) {
    socket.onDatagram(handler)
  }
}
