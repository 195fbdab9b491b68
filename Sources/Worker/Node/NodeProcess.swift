internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
public import IorunMesh
internal import IorunRuntime
public import IorunSandbox
public import Logging

/// A node as a process: its place on the mesh, its agent, and the conversation with its head that
/// goes on until the process is told to stop.
public struct NodeProcess: Sendable {
  let system: MeshActorSystem
  let endpoint: ZeroMQEndpoint
  let agent: NodeAgentCore
  let registry: NodeRegistry
  private let content: RemoteContent
  private let metrics: MetricsServer?
  let hub: RuntimeHub
  private let sealedJobs: SealedJobs?
  private let networks: GangNetworks?
  private let internet: InternetAccess?
  private let credentials: NodeCredentials
  let admissions: Admissions
  private let prober: NodeProber
  private let paths: NodePathAgent
  let prover: ProverCore
  private let keeper: OwnerKeeper
  let nodeGuard: NodeGuard?
  private let findings: IsolationFindings?
  private let leftLogs: [LeftLogs.Kept]
  let headAddress: String
  let startedAt = Date().timeIntervalSince1970
  // Distributed actors live as long as somebody holds them.
  private let served: [any Sendable]
  private let logger: Logger

  /// Opens the node in a state folder that has a key and a membership.
  ///
  /// - Throws: `identityUnusable`, `fileSystem`, `addressInUse`.
  public init(
    stateFolder: String, membership: NodeMembership, introduction: Introduction? = nil,
    gpus: any GPUProvider = NVML(), supervisor: String = "/proc/self/exe",
    logger: Logger = Logger(label: "iorun.node"),
    watched: @escaping @Sendable (WorkerStatus) -> Void = { _ in }
  ) async throws {
    keeper = OwnerKeeper(
      folder: stateFolder, gpus: gpus, gpuMemory: membership.gpuMemory, logger: logger,
      changed: watched)
    headAddress = membership.headAddress
    let identity = try CurveKey.loadOrCreate(at: stateFolder + "/node.key")
    var uplink = try membership.uplink()
    uplink.introduction = introduction
    let executors = ExecutorDirectory(agent: identity)
    let endpoint = try ZeroMQEndpoint(
      identity: identity, listening: [Self.socketAddress(stateFolder, identity.peer)],
      admits: { executors.admits($0) }, uplink: uplink)
    executors.attach(endpoint)
    let headID = CurveKey.peer(of: uplink.key)
    let credentials = try NodeCredentials(
      folder: stateFolder, publicKey: identity.publicKey, head: headID, logger: logger)
    self.credentials = credentials
    var settings = AgentSettings(stateFolder: stateFolder)
    settings.supervisor = supervisor
    let dataPlane = await DataPlaneProbe().find()
    var facts = try await Self.facts(membership, stateFolder: stateFolder, gpus: gpus)
    facts.dataPlane = dataPlane.facts
    // Nodes of `iorun up` are their owner's alone: no limit but their line's.
    let internet = InternetAccess.find(
      megabitsPerSecond: membership.internetMegabitsPerSecond,
      profile: membership.isolation == nil ? nil : membership.asked)
    facts.dataPlane?.leadsOut = internet != nil && dataPlane.backend != nil
    self.internet = internet
    facts.claims = membership.allClaims
    let gangPaths = PathedGangPaths(headAddress: membership.headAddress, logger: logger)
    let networks = dataPlane.backend.map {
      GangNetworks(
        backend: $0, paths: gangPaths, facts: facts, addresses: DataPlaneProbe.ownAddresses,
        stateFolder: stateFolder, internet: internet, limits: membership.gangLimits, logger: logger)
    }
    let bare = facts
    // A membership that says nothing is one of `iorun up`.
    let isolation = membership.isolation ?? .open
    let left = try await Blocking.run { LeftLogs(stateFolder: stateFolder) }
    let sealed = try await SealedRanks.open(
      isolation, stateFolder: stateFolder, node: identity.peer,
      facts: bare, minors: facts.gpus.isEmpty ? [:] : gpus.minorNumbers(), program: supervisor,
      agentSocket: String(Self.socketAddress(stateFolder, identity.peer).dropFirst(6)),
      logger: logger)
    facts.sandbox = sealed?.kind
    findings =
      sealed?.findings ?? (isolation == .auto ? IsolationFindings(reports: [], scratch: nil) : nil)
    facts.isolation = sealed?.findings.capability(
      hasTunnels: dataPlane.backend != nil, leadsOut: facts.dataPlane?.leadsOut == true)
    // Heads of earlier versions do not know what that means for the disk.
    facts.disk = facts.capacity.disk
    facts.runsStrangersBare = isolation == .open ? true : nil
    let known = facts
    let images = try await ImageStore.open(
      for: sealed, membership, stateFolder: stateFolder, disk: bare.disk, internet: internet,
      logger: logger)
    nodeGuard = try membership.guarding.flatMap { wanted in
      try NodeGuard(
        wanted, groupName: SealedRanks.groupName(of: identity.peer),
        devices: { sealed?.leasedDevices ?? [] }, gpus: gpus, logger: logger)
    }
    // What comes from the network is strangers': on a node with sandboxes none of it is kept as it is.
    let kept = sealed?.vault.path ?? stateFolder
    leftLogs = try await Blocking.run {
      try left.keep(vaultLogs: sealed?.vault.logs, stateFolder: stateFolder)
    }
    let cache = try await ChunkCache.open(in: kept)
    let hubMailbox = try HubMailbox()
    let deviceKey = try Self.deviceKey(stateFolder)
    let board = BoardSerial.digest()
    let machine = Self.share(hubMailbox)
    var hubSettings = try Self.hubSettings(
      membership, facts: known, node: NodeID(identity.peer), agent: settings)
    let arenaBytes = hubSettings.arenaBytes
    let sealedJobs = sealed.map {
      SealedJobs(
        beside: $0, node: NodeID(identity.peer), arenaBytes: arenaBytes, logger: logger)
    }
    hubSettings.sealed = sealedJobs
    self.sealedJobs = sealedJobs
    hubSettings.labels["iorun.io/isolation"] = facts.sandbox ?? "none"
    var parts:
      (
        agent: NodeAgentCore, registry: NodeRegistry, served: [any Sendable],
        paths: NodePathAgent, programs: ProgramStore, prover: ProverCore
      )?
    let system = try MeshActorSystem(transport: endpoint) { system in
      let registry = try NodeRegistry.at(headID, using: system)
      let content = RemoteContent(try ContentExchange.at(headID, using: system))
      let programs = ProgramStore(
        endpoint: content, cache: cache, folder: kept + "/programs")
      let agent = NodeAgentCore(
        facts: known, headID: headID,
        head: RemoteHead(registry: registry, logs: try LogSink.at(headID, using: system)),
        content: TransferLeaseContent(endpoint: content, cache: cache),
        executors: ExecutorSource(
          acquire: { lease in
            let (peer, variables) = try executors.acquire(lease)
            // A rank's program may be a driver of tasks and actors.
            return (
              peer,
              variables.merging(["IORUN_HUB": HubSocket.path(of: NodeID(identity.peer))]) { $1 }
            )
          }, release: { executors.release($0) }),
        machine: machine, networks: networks ?? NoLeaseNetworks() as any LeaseNetworks,
        sealed: sealed, sealedJobs: sealedJobs, images: images,
        gpuKeeper: sealed.map { _ in GPUKeeper(.own(program: supervisor), logger: logger) },
        settings: settings, logger: logger)
      let desk = AgentDesk(agent: agent, head: headID, executors: executors)
      let bridge = HubBridge(
        mailbox: hubMailbox, head: headID,
        files: DriverFiles(mailbox: hubMailbox, programs: programs))
      let paths = try NodePathAgent(
        head: headID, headAddress: membership.headAddress,
        rendezvous: try Rendezvous.at(headID, using: system),
        links: DirectLinks(
          endpoint: endpoint, publicKey: identity.publicKey,
          credentials: credentials.forLinks(key:),
          logger: logger),
        logger: logger)
      let proofs = RemoteVerifier(proofs: try Proofs.at(headID, using: system))
      let idle = IdleMachine.of(hubMailbox)
      let prover = ProverCore(
        key: deviceKey, head: headID,
        verifier: proofs, machine: idle, cores: known.milliCPUs / 1000, memory: known.memory,
        board: board, folder: stateFolder,
        gpus: try GPUProver.all(
          known.gpus, key: deviceKey, head: headID, board: board, program: supervisor,
          verifier: proofs,
          machine: idle, logger: logger),
        logger: logger)
      let served: [any Sendable] = [
        system.named(Prover.wellKnownName) { Prover(prover, actorSystem: system) },
        system.named(ProofStreams.wellKnownName) { ProofStreams(prover, actorSystem: system) },
        system.named(NodeAgent.wellKnownName) { NodeAgent(desk, actorSystem: system) },
        system.named(ExecutorDesk.wellKnownName) { ExecutorDesk(executors, actorSystem: system) },
        system.named(NodeBridge.wellKnownName) { NodeBridge(bridge, actorSystem: system) },
        system.named(NodeObjects.wellKnownName) { NodeObjects(bridge, actorSystem: system) },
        system.named(PathDesk.wellKnownName) { PathDesk(paths, actorSystem: system) },
      ]
      gangPaths.attach(paths)
      parts = (agent, registry, served, paths, programs, prover)
    }
    guard let parts else {
      throw IorunError(.internalFault, "the node's actors were not made")
    }
    agent = parts.agent
    registry = parts.registry
    paths = parts.paths
    prover = parts.prover
    hubSettings.programs = parts.programs
    let access = RankAccess(agent: agent, port: StreamPort(on: system), logger: logger)
    await agent.attach(access)
    served =
      parts.served + [
        system.named(RankDesk.wellKnownName) { RankDesk(access, actorSystem: system) }
      ]
    let hub = try RuntimeHub(
      settings: hubSettings, mailbox: hubMailbox,
      cluster: try ClusterControl.at(headID, using: system), system: system, logger: logger)
    self.hub = hub
    await agent.attach(fencing: { [hub] in hub.fence(reason: $0) })
    content = RemoteContent(try ContentExchange.at(headID, using: system))
    admissions = try Admissions.at(headID, using: system)
    prober = NodeProber(
      head: headID, registry: registry, uplink: endpoint.uplinkMonitor, system: system)
    metrics = try membership.metrics.map { try hub.serveMetrics(on: $0) }
    self.system = system
    self.endpoint = endpoint
    self.networks = networks
    self.logger = logger
  }

  /// Returns when the head knows this node.
  ///
  /// - Throws: `keyNotAdmitted`, `ticketExpired` and the like at once; the last failure after `limit`.
  public func waitUntilAdmitted(within limit: Duration) async throws {
    try await endpoint.uplinkMonitor.waitUntilUp(within: limit)
  }

  /// Looks at this machine against a profile, with the way to the head. Once the node is admitted; takes
  /// some seconds.
  ///
  /// - Throws: `IorunError` where the machine cannot be looked at. What cannot be measured is said so.
  public func check(
    against profile: NodeProfile, stateFolder: String
  ) async throws -> [HostCheck] {
    let rates = try? await Self.bounded(.seconds(30)) { try await LinkRates.measure(content) }
    let doctor = HostDoctor(stateFolder: stateFolder, profile: profile) {
      InstalledProgram.find($0) != nil
    }
    return try await doctor.examineOffer(
      roundTripMilliseconds: endpoint.uplinkMonitor.roundTrip.map { $0 / .milliseconds(1) },
      rates: rates, found: findings)
  }

  /// Serves until the task is cancelled, or until the owner wants the node to leave and nothing runs
  /// there any more; then stops all ranks and says goodbye. `watched` of `init` hears each status.
  ///
  /// - Throws: `fileSystem` where the state folder cannot be used.
  public func run() async throws {
    try await agent.removeLeftovers()
    try await networks?.removeLeftovers()
    // Also where nobody is led out now: an agent before this one may have.
    if geteuid() == 0 { try await Blocking.run { EgressRouter.removeLeftovers() } }
    await agent.makeAhead()
    // After the sandboxes' self-test, which looks like somebody else's container.
    nodeGuard?.start()
    let measuring = Task { [prober] in await prober.run() }
    defer { measuring.cancel() }
    let search = Task { [paths] in await paths.run() }
    defer { search.cancel() }
    let bringing = Task { [agent, leftLogs] in await agent.bring(leftLogs) }
    defer { bringing.cancel() }
    await keeper.begin(try await Blocking.run { MachineMeter.now })
    await withTaskGroup { group in
      group.addTask { await self.keepConversing() }
      group.addTask { await self.keeper.run(self.ownersNode) }
      // Whichever is over ends the other one.
      await group.next()
      group.cancelAll()
    }
    measuring.cancel()
    bringing.cancel()
    metrics?.stop()
    await nodeGuard?.stop()
    await prover.shutDown()
    // Parcels to nodes that end at the same moment would be waited for; those that stay hear from the
    // head that this one is gone.
    let others = await hub.stop()
    for node in others { endpoint.forget(node) }
    await sealedJobs?.shutDown()
    await agent.shutDown()
    // In tasks of their own, because this one is cancelled, and then nothing blocking would begin.
    if let internet { await Task { try? await Blocking.run { internet.close() } }.value }
    // Bounded, because the head may be gone.
    await Task { [registry, logger] in
      do {
        try await MeshActorSystem.$callTimeout.withValue(.seconds(1)) { try await registry.leave() }
      } catch {
        logger.info("the head did not hear the goodbye: \(error)")
      }
    }.value
    // Whatever was on its way out in the meantime, such as an answer to a probe.
    for node in others { endpoint.forget(node) }
    await system.shutdown(within: .seconds(1))
  }

  /// Ends a node that has only been admitted.
  public func close() async {
    metrics?.stop()
    await hub.stop()
    await sealedJobs?.shutDown()
    await agent.shutDown()
    await system.shutdown(within: .seconds(1))
  }

  private func keepConversing() async {
    var complaint = HeadComplaint()
    while !Task.isCancelled {
      do {
        try await converse()
      } catch is CancellationError {
        break
      } catch {
        complaint.tell(error, to: logger)
        try? await Task.sleep(for: .milliseconds(500))
      }
    }
  }

  /// Registers, then sends heartbeats until one fails or the head asks for a registration.
  private func converse() async throws {
    try await endpoint.uplinkMonitor.waitUntilUp(within: .seconds(10))
    let registration = NodeRegistration(
      facts: agent.facts, leases: await agent.currentReports(),
      availability: await keeper.availability)
    // Both at once: on a long way each would cost a round trip. The head takes the runtime side
    // once it knows the node.
    async let runtimeSide: Void = hub.register(logger)
    var asked = ContinuousClock.now
    var orders = try await Self.bounded { try await registry.register(registration) }
    await keeper.registered(registration.availability)
    logger.notice("this node is registered as \(orders.name)")
    await runtimeSide
    while !Task.isCancelled {
      await agent.apply(orders: orders, age: ContinuousClock.now - asked)
      if orders.registerAgain { return }
      let revoked = await credentials.renew(ifNewer: orders.trustSequence, from: admissions)
      for peer in revoked { endpoint.expel(peer) }
      let pace = Duration.milliseconds(max(100, orders.heartbeatMilliseconds))
      try await Task.sleep(for: min(pace, await agent.renewEvery ?? pace))
      let leases = await agent.currentLeases()
      let roundTrip = endpoint.uplinkMonitor.roundTrip.map { $0 / .milliseconds(1) }
      asked = ContinuousClock.now
      orders = try await Self.bounded {
        try await registry.heartbeat(leases: leases, roundTripMilliseconds: roundTrip)
      }
    }
  }

  /// A heartbeat that takes longer than this is as good as none.
  static func bounded<Result>(
    _ limit: Duration = .seconds(5), _ call: () async throws -> Result
  ) async throws -> Result {
    try await MeshActorSystem.$callTimeout.withValue(limit, operation: call)
  }
}
