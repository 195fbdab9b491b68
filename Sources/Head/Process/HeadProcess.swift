internal import Foundation
internal import IorunContract
public import IorunCore
internal import IorunCrypto
internal import IorunMesh
internal import IorunPath
internal import IorunRuntime
public import Logging
internal import Synchronization

/// A head as a process: its services, its one port, and the distributed actors between them.
public struct HeadProcess: Sendable {
  /// The head's peer id.
  public let peer: PeerID
  /// The head's Curve25519 public key.
  public let publicKey: [UInt8]
  /// Where clients of this machine reach it: `host:port`.
  public let localAddress: String

  private let services: HeadServices
  private let system: MeshActorSystem
  private let endpoint: ZeroMQEndpoint
  /// What happens to the connections of nodes, in order.
  private let linkChanges: AsyncStream<(PeerID, LinkBoard.Change)>
  private let relay: RelayServer?
  private let http: HTTPServer?
  private let logger: Logger
  // Distributed actors live as long as somebody holds them.
  private let served: [any Sendable]

  /// Opens the state folder and the port, and serves from then on.
  ///
  /// - Parameters:
  ///   - stateFolder: the head's own folder.
  ///   - listen: the address and port to listen on.
  ///   - advertised: the `host:port` that tickets name.
  ///   - localOperator: the public key of the operator's client on this machine.
  ///   - localNodes: the public keys of nodes on this machine.
  ///   - options: settings.
  /// - Throws: `specInvalid`, `addressInUse`, `identityUnusable`, `fileSystem`, `diskFull`.
  public init(
    stateFolder: String, listen: String, advertised: String, localOperator: [UInt8],
    localNodes: [[UInt8]], options: HeadOptions = HeadOptions(),
    logger: Logger = Logger(label: "iorun.head")
  ) async throws {
    guard Ticket.isAddress(listen), Ticket.isAddress(advertised) else {
      throw IorunError(
        .specInvalid, "'\(Ticket.isAddress(listen) ? advertised : listen)' is not HOST:PORT",
        remedy: "Give an address with its port, such as 0.0.0.0:7070")
    }
    let identity = try CurveKey.loadOrCreate(at: stateFolder + "/head.key")
    // The services call agents through the system, and the system's port admits whom the services
    // know: the reference closes the circle, before anything can use it.
    let reference = SystemReference()
    let services = try await HeadServices.open(
      stateFolder: stateFolder, head: identity.peer,
      clock: HeadClock(ContinuousClock()) { Date().timeIntervalSince1970 },
      options: options,
      makeTicket: {
        let ticket = try Ticket(address: advertised, headKey: identity.publicKey)
        return NewTicket(publicKey: try ticket.key().publicKey, text: ticket.text)
      },
      agent: { node in
        RemoteAgent(agent: try NodeAgent.at(node, using: try reference.system()))
      },
      bridge: { node in
        RemoteBridge(bridge: try NodeBridge.at(node, using: try reference.system()))
      },
      paths: { node in
        RemotePathDesk(desk: try PathDesk.at(node, using: try reference.system()))
      },
      prover: { node in
        RemoteProver(
          prover: try Prover.at(node, using: try reference.system()),
          streams: try ProofStreams.at(node, using: try reference.system()))
      },
      logger: logger)
    _ = try await services.admit(
      publicKey: localOperator, name: "local operator", role: .operator)
    for (index, key) in localNodes.enumerated() {
      _ = try await services.admit(
        publicKey: key, name: "node-\(index + 1)", role: .supplier)
    }
    let peers = services.peers
    let endpoint = try ZeroMQEndpoint(
      identity: identity, listening: ["tcp://\(listen)"],
      admits: { peers.admits(publicKey: $0)?.peer })
    let admission = services.admission
    endpoint.admitNewcomers { key, name, ticket in
      _ = try await admission.admit(publicKey: key, name: name, caller: ticket)
    }
    var served: [any Sendable] = []
    let system = MeshActorSystem(transport: endpoint) { system in
      reference.set(system)
      served = Self.serve(services, on: system)
    }
    let relays = HeadRelays { endpoint.setRelays($0) }
    await services.onExecutorRoutesChanged { relays.set(executors: $0) }
    await services.onClusterMembersChanged { relays.set(nodes: $0) }
    await services.onAttachmentsChanged { relays.set(attached: $0) }
    services.onExpelled { endpoint.expel($0) }
    // Bounded: of more changes than that, the latest tell enough.
    let changes = AsyncStream.makeStream(
      of: (PeerID, LinkBoard.Change).self, bufferingPolicy: .bufferingNewest(65_536))
    endpoint.links.onChange { changes.continuation.yield(($0, $1)) }
    linkChanges = changes.stream
    self.logger = logger
    self.endpoint = endpoint
    relay = await Self.serveRelay(services, listen: listen, logger: logger)
    http = try await Self.serveHTTP(services, on: options.http, stateFolder: stateFolder)
    self.served = served
    self.services = services
    self.system = system
    peer = identity.peer
    publicKey = identity.publicKey
    localAddress = Self.localAddress(listen)
    logger.info("head \(identity.peer.short) listens on \(listen)")
  }

  /// Serves until the task is cancelled. Ranks run on without the head.
  public func run() async throws {
    await withTaskGroup { group in
      group.addTask { await watchLinks() }
      group.addTask { await tellAges() }
      await services.run()
      group.cancelAll()
    }
    // In a task of its own: this one is cancelled, and the database must still be closed.
    await Task { [services, system, relay, http, endpoint] in
      relay?.stop()
      http?.stop()
      await services.shutDown()
      // Nobody is there to acknowledge what nodes that have left were still to be told.
      for node in await services.directory.snapshot() where node.state != .alive {
        endpoint.forget(node.id)
      }
      await system.shutdown(within: .seconds(1))
    }.value
  }

  /// Tells the services of nodes' connections.
  private func watchLinks() async {
    for await (peer, change) in linkChanges {
      switch change {
      case .up: await services.connection(of: peer, isUp: true, wasClosed: false)
      case .down(let wasClosed):
        await services.connection(of: peer, isUp: false, wasClosed: wasClosed)
      case .limited:
        logger.warning("\(peer.short) sends more than is taken of one peer: the rest is dropped")
      }
    }
  }

  /// Tells the services how long ago nodes' connections were known to stand, until the task is cancelled.
  private func tellAges() async {
    while !Task.isCancelled {
      await services.heard(endpoint.links.ages())
      // Cancelled: the loop's condition looks.
      try? await Task.sleep(for: .milliseconds(500))
    }
  }

  private static func serve(_ services: HeadServices, on system: MeshActorSystem)
    -> [any Sendable]
  {
    [
      system.named(JobManager.wellKnownName) { JobManager(services.jobs, actorSystem: system) },
      system.named(NodeRegistry.wellKnownName) {
        NodeRegistry(services.nodes, actorSystem: system)
      },
      system.named(LogSink.wellKnownName) { LogSink(services.nodes, actorSystem: system) },
      system.named(ContentExchange.wellKnownName) {
        ContentExchange(services.content, actorSystem: system)
      },
      system.named(NetworkOverview.wellKnownName) {
        NetworkOverview(services.network, actorSystem: system)
      },
      system.named(Admissions.wellKnownName) {
        Admissions(services.admission, actorSystem: system)
      },
      system.named(Rendezvous.wellKnownName) {
        Rendezvous(services.rendezvous, actorSystem: system)
      },
      system.named(Proofs.wellKnownName) { Proofs(services.proofs, actorSystem: system) },
      system.named(Placer.wellKnownName) { Placer(services.placement, actorSystem: system) },
      system.named(ClusterControl.wellKnownName) {
        ClusterControl(services.cluster, actorSystem: system)
      },
      system.named(RuntimeOverview.wellKnownName) {
        RuntimeOverview(services.runtime, actorSystem: system)
      },
    ]
  }

  /// Proofs over HTTP, where that is wanted.
  private static func serveHTTP(
    _ services: HeadServices, on address: String?, stateFolder: String
  ) async throws -> HTTPServer? {
    guard let address else { return nil }
    let token = try await Blocking.run {
      try ProofInterface.token(file: stateFolder + "/http.token")
    }
    let interface = ProofInterface(director: services.proofDirector, token: token)
    return try HTTPServer(address: address) { await interface.answer($0) }
  }

  /// The head is a relay and a reflector as well, on the UDP port of the same number and the TCP port
  /// after it. A head without them serves all the same: nodes then have no NAT class and no way
  /// around one but the mesh's own.
  private static func serveRelay(
    _ services: HeadServices, listen: String, logger: Logger
  ) async -> RelayServer? {
    do {
      let (address, port) = place(listen)
      let secret = try SecureRandom.bytes(32)
      let server: RelayServer
      do {
        server = try RelayServer(
          on: address, port: port, streamPort: port == .max ? nil : port + 1, secret: secret)
      } catch let error as IorunError where error.code == .addressInUse {
        // The second port is often another program's: then without it.
        server = try RelayServer(on: address, port: port, secret: secret)
      }
      try await services.addOwn(relay: server, streamPort: server.streamPort ?? 0)
      return server
    } catch {
      logger.warning("the head serves no relay: \(error)")
      return nil
    }
  }

  /// The address (`nil`: all) and the port of `HOST:PORT`.
  private static func place(_ listen: String) -> (SocketAddress?, UInt16) {
    let port = UInt16(listen.split(separator: ":").last ?? "") ?? 0
    guard let address = SocketAddress(listen), !address.address.allSatisfy({ $0 == 0 }) else {
      return (nil, port)
    }
    return (address, port)
  }

  /// A wildcard is no address to dial: loopback reaches it on this machine.
  private static func localAddress(_ listen: String) -> String {
    let port = listen.split(separator: ":").last ?? ""
    if listen.hasPrefix("0.0.0.0:") || listen.hasPrefix("*:") { return "127.0.0.1:\(port)" }
    if listen.hasPrefix("[::]:") { return "[::1]:\(port)" }
    return listen
  }
}

/// A system that is made after those who will use it.
private final class SystemReference: Sendable {
  private let value = Mutex<MeshActorSystem?>(nil)

  func set(_ system: MeshActorSystem) { value.withLock { $0 = system } }

  func system() throws -> MeshActorSystem {
    guard let system = value.withLock({ $0 }) else {
      throw IorunError(.unreachable, "the head is still starting")
    }
    return system
  }
}
