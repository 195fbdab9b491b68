internal import Foundation
internal import IorunContent
public import IorunContract
public import IorunCore
internal import IorunCrypto
public import IorunMesh
public import IorunPath
public import Logging

/// Everything a head does, opened from its state folder: what the distributed actors hand on to.
///
///     let services = try await HeadServices.open(stateFolder: folder, …)
///     try await services.run()  // until the task is cancelled
///     await services.shutDown()
public struct HeadServices: Sendable {
  /// Reaches one node's agent. Calls fail with `unreachable`, `peerLost` or `timedOut` where the way
  /// to the node is the reason; these are repeated.
  public typealias AgentLookup = @Sendable (PeerID) async throws -> any AgentService
  /// Reaches one node's runtime side; its calls fail as those of `AgentLookup` do.
  public typealias BridgeLookup = @Sendable (PeerID) throws -> any BridgeService
  /// Reaches one node's search for paths.
  public typealias PathsLookup = @Sendable (PeerID) throws -> any PathDeskService
  /// Reaches one node's prover.
  public typealias ProverLookup = @Sendable (PeerID) throws -> any ProverService
  /// Those of some chunks that the head lacks.
  typealias MissingChunks = @Sendable ([Digest]) async throws -> [Digest]

  /// Submit, watch, read, cancel.
  public let jobs: any JobService
  /// Registrations, heartbeats, reports, logs.
  public let nodes: any NodeService
  /// Chunks.
  public let content: any ContentService
  /// The network at a glance, tickets.
  public let network: any NetworkService
  /// Joining with a ticket.
  public let admission: any AdmissionService
  /// Proofs of work: challenges, results, records.
  public var proofs: any ProofService { proofDirector }
  /// Where a job would run.
  public let placement: any PlacementService
  /// Runtime jobs: tasks, actors, placement groups.
  public let cluster: any ClusterService
  /// Runtime jobs for people.
  public let runtime: any RuntimeOverviewService
  /// Relays, and where peers find each other.
  public var rendezvous: any RendezvousService { meeting }
  /// Which keys may connect; answers without waiting.
  public let peers: PeerDirectory

  /// The network's name, drawn when the state folder was first used.
  public let networkID: String
  /// The 32 bytes of the Ed25519 key with which certificates are checked.
  public let authorityKey: [UInt8]

  let store: Store
  private let meeting: RendezvousDesk
  private let director: JobDirector
  private let clusterDirector: ClusterDirector
  let proofDirector: ProofDirector
  let directory: NodeDirectory
  let probe: ReachProbe
  /// The ways between nodes.
  let map: NetworkMap
  private let book: TicketBook
  private let expulsion: Expulsion
  private let clock: HeadClock
  private let options: HeadOptions
  private let logger: Logger

  private static let ticksBetweenPrunings = 240

  /// Opens the state folder, loads what is not over, and is ready to serve. Live ranks are taken up
  /// again as their nodes register.
  ///
  /// - Parameters:
  ///   - stateFolder: a folder of the head's own; made with mode 0700 where it is missing.
  ///   - head: the head's peer id, as which it calls agents.
  ///   - clock: where time comes from.
  ///   - options: settings.
  ///   - makeTicket: makes a ticket's secret and text.
  ///   - agent: reaches a node's agent.
  ///   - bridge: reaches a node's runtime side.
  ///   - paths: reaches a node's search for paths.
  ///   - prover: reaches a node's prover.
  ///   - logger: where faults are told.
  /// - Throws: `identityUnusable` for a damaged database or key, `diskFull`, `fileSystem`.
  public static func open(
    stateFolder: String, head: PeerID, clock: HeadClock, options: HeadOptions = HeadOptions(),
    makeTicket: @escaping @Sendable () throws -> NewTicket, agent: @escaping AgentLookup,
    bridge: @escaping BridgeLookup,
    paths: @escaping PathsLookup = { node in
      throw IorunError(.unreachable, "node \(node.short) has no search for paths")
    },
    prover: @escaping ProverLookup = { node in
      throw IorunError(.unreachable, "node \(node.short) has no prover")
    },
    logger: Logger = Logger(label: "iorun.head")
  ) async throws -> HeadServices {
    let store = try await Store.open(in: stateFolder)
    let network = try await store.networkID { "net-" + Base32.encode(try SecureRandom.bytes(10)) }
    let authority = try await CertificateAuthority.open(
      file: stateFolder + "/authority.key", network: network, store: store)
    let peers = PeerDirectory(
      peers: try await store.peers(), tickets: try await store.tickets())
    let authoriser = Authoriser(peers: peers)
    let (chunks, archive) = try await Blocking.run {
      (
        try ChunkStore(folder: stateFolder + "/chunks"),
        try LogArchive(folder: stateFolder + "/logs", limit: options.logLimit)
      )
    }
    let content = ContentDesk(
      chunks: chunks, authoriser: authoriser,
      reserve: DiskReserve(most: options.reservedDisk, folder: chunks.folder))
    let directory = try await NodeDirectory(store: store, clock: clock, options: options)
    let map = NetworkMap(head: head, directory: directory, clock: clock)
    let director = try await JobDirector(
      head: head, store: store, directory: directory, map: map, archive: archive,
      authoriser: authoriser, clock: clock, options: options, agent: agent,
      missingChunks: { try await content.missing(of: $0) }, logger: logger)
    let cluster = ClusterDirector(
      head: head, directory: directory, authoriser: authoriser, clock: clock, bridge: bridge,
      logger: logger)
    let proofDirector = try await ProofDirector(
      head: head, store: store, directory: directory, authoriser: authoriser,
      secrets: try await Blocking.run {
        try VerifierSecrets.open(file: stateFolder + "/verifier.key")
      },
      clock: clock, settings: options.proofs, prover: prover,
      holdings: { await director.holdings() }, latencyTwins: { await map.latencyTwins },
      logger: logger)
    await proofDirector.takeUp()
    let book = TicketBook(
      store: store, peers: peers, authority: authority, clock: clock, makeTicket: makeTicket)
    let expulsion = Expulsion()
    let probe = ReachProbe(head: head, directory: directory, agent: agent, tasks: TaskPool())
    let meeting = RendezvousDesk(
      head: head, director: director, cluster: cluster, directory: directory,
      authoriser: authoriser, clock: clock, firstSlot: UInt32.random(in: 0...RelayPass.lastSlot),
      desk: paths)
    return HeadServices(
      jobs: director,
      nodes: NodeDesk(
        directory: directory, map: map, director: director, authoriser: authoriser,
        authority: authority,
        options: options),
      content: content,
      network: NetworkDesk(
        head: head, startedAt: clock.now(), store: store, director: director, book: book,
        peerDesk: PeerDesk(store: store, peers: peers, authority: authority, clock: clock),
        directory: directory,
        expel: { peer in
          expulsion.expel(peer)
          do {
            try await directory.leave(peer, reason: "it was revoked")
          } catch {
            logger.warning("a revoked node is still on disk", metadata: ["error": "\(error)"])
          }
          await director.lose(peer, reason: "it was revoked")
          await director.settleLater()
        },
        authoriser: authoriser),
      admission: book, placement: PlacementDesk(director: director, authoriser: authoriser),
      cluster: cluster,
      runtime: RuntimeDesk(director: cluster, head: head, authoriser: authoriser), peers: peers,
      networkID: network, authorityKey: authority.publicKey, store: store, meeting: meeting,
      director: director, clusterDirector: cluster,
      proofDirector: proofDirector, directory: directory, probe: probe, map: map,
      book: book, expulsion: expulsion, clock: clock, options: options, logger: logger)
  }

  /// Admits a key without a ticket: for the operator and the nodes that start on the head's own
  /// machine. `publicKey` is a Curve25519 key of 32 bytes.
  public func admit(publicKey: [UInt8], name: String, role: Role) async throws -> Admission {
    try await book.admitDirectly(publicKey: publicKey, name: name, role: role)
  }

  /// The head's own relay serves from now on.
  public func addOwn(relay: RelayServer, streamPort: UInt16) async throws {
    try await meeting.addOwn(relay, streamPort: streamPort)
  }

  /// The processes of all live ranks: the mesh relays between those of the same job and attempt.
  public func executorRoutes() async -> [ExecutorRoute] { await director.routes }

  /// Calls `handler` at once and whenever the routes change. There is one handler at a time.
  public func onExecutorRoutesChanged(
    _ handler: @escaping @Sendable ([ExecutorRoute]) -> Void
  ) async {
    await director.onRoutesChanged(handler)
  }

  /// Calls `handler` at once and whenever the clients change that reach into ranks: the mesh relays
  /// between each of them and its node. There is one handler at a time.
  public func onAttachmentsChanged(
    _ handler: @escaping @Sendable (Set<AttachmentBook.Way>) -> Void
  ) async {
    await director.onAttachmentsChanged(handler)
  }

  /// Calls `handler` with the nodes that take part in runtime jobs at once and whenever they change:
  /// the mesh relays between them. There is one handler at a time.
  public func onClusterMembersChanged(_ handler: @escaping @Sendable (Set<PeerID>) -> Void) async {
    await clusterDirector.onMembersChanged(handler)
  }

  /// Calls `handler` with every peer that is revoked from now on: its links are to end. There is one
  /// handler at a time.
  public func onExpelled(_ handler: @escaping @Sendable (PeerID) -> Void) {
    expulsion.set(handler)
  }

  /// A node's connection to the head ended, or is there again. `wasClosed`: the node's kernel said so.
  public func connection(of node: PeerID, isUp: Bool, wasClosed: Bool) async {
    await directory.connection(of: node, isUp: isUp, wasClosed: wasClosed)
  }

  /// How long ago each node's connection was last known to stand.
  public func heard(_ ages: [PeerID: LinkBoard.Age]) async { await directory.heard(ages) }

  /// Watches nodes, timeouts and the queue until the task is cancelled.
  public func run() async {
    var ticks = 0
    while !Task.isCancelled {
      await tick()
      ticks += 1
      if ticks % Self.ticksBetweenPrunings == 0 {
        do {
          try await store.pruneEvents(keeping: options.keptEvents)
        } catch {
          logger.warning("old events cannot be dropped", metadata: ["error": "\(error)"])
        }
        await keepRecords()
      }
      guard (try? await clock.sleep(options.tick)) != nil else { return }
    }
  }

  /// One look at what only time changes; `run` does this again and again.
  func tick() async {
    await director.tick()
    await clusterDirector.tick()
    await probe.look()
    await proofDirector.tick()
  }

  /// Keeps what changes all the time and is only worth a write now and then.
  private func keepRecords() async {
    do {
      try await directory.saveService()
      try await director.saveUsage()
    } catch {
      logger.warning("records cannot be kept", metadata: ["error": "\(error)"])
    }
  }

  /// Ends every wait and call, and closes the database. Ranks run on; a head that is opened on the
  /// same folder takes them up again.
  public func shutDown() async {
    await probe.tasks.close(within: .seconds(1), clock)
    await clusterDirector.shutDown()
    await proofDirector.shutDown()
    await director.shutDown()
    await keepRecords()
    do {
      try await store.close()
    } catch {
      logger.warning("the database did not close", metadata: ["error": "\(error)"])
    }
  }
}
