public import IorunContract
public import IorunCore
public import Logging

/// A node's agent: takes grants from its head, prepares and runs ranks, tells the head what becomes
/// of them, and gives everything back. It keeps no state across its own death: its ranks die with
/// it, and the head learns of that from the next registration.
public actor NodeAgentCore: AgentService {
  /// What the node says of itself.
  public nonisolated let facts: NodeFacts
  let headID: PeerID
  let head: any HeadLink
  let content: any LeaseContent
  let executors: ExecutorSource
  let machine: MachineShare
  let networks: any LeaseNetworks
  /// `nil` where ranks run as ordinary processes.
  let sealed: SealedRanks?
  /// Lets ranks in sandboxes drive tasks and actors.
  let sealedJobs: SealedJobs?
  /// `nil` where ranks run as ordinary processes: who runs these trusts them.
  let gpuKeeper: GPUKeeper?
  /// `nil` where ranks run as ordinary processes, which have no root of their own.
  let images: ImageStore?
  let settings: AgentSettings
  let clock: any Clock<Duration>
  let logger: Logger
  let retry: Retry

  var table: LeaseTable
  var held: [LeaseID: HeldLease] = [:]
  /// Fences when it is not replaced in time.
  var silence: Task<Void, Never>?
  /// People who reach into ranks.
  var guests: (any RankGuests)?
  var fenceAfter: Duration?
  /// Ends the machine's other work for the network when the node's fence passes; it is told why.
  var fenceRuntime: (@Sendable (String) -> Void)?
  /// What the records of its proofs say of this node, as the head told it last; `nil` where the head
  /// asks for none.
  var mark: DeviceMark?
  /// How long ago the head heard this node at the latest, as far as the node knows.
  var sinceRenewal: (@Sendable () -> Duration)?

  /// Makes an agent that takes orders from `headID` alone. Call `removeLeftovers` before the first
  /// registration.
  public init(
    facts: NodeFacts, headID: PeerID, head: any HeadLink, content: any LeaseContent,
    executors: ExecutorSource, machine: MachineShare = .whole,
    networks: any LeaseNetworks = NoLeaseNetworks(), settings: AgentSettings,
    clock: any Clock<Duration> = ContinuousClock(), logger: Logger = Logger(label: "iorun.agent")
  ) {
    self.init(
      facts: facts, headID: headID, head: head, content: content, executors: executors,
      machine: machine, networks: networks, sealed: nil, sealedJobs: nil, images: nil,
      settings: settings, clock: clock, logger: logger)
  }

  init(
    facts: NodeFacts, headID: PeerID, head: any HeadLink, content: any LeaseContent,
    executors: ExecutorSource, machine: MachineShare, networks: any LeaseNetworks,
    sealed: SealedRanks?, sealedJobs: SealedJobs?, images: ImageStore?,
    gpuKeeper: GPUKeeper? = nil, settings: AgentSettings,
    clock: any Clock<Duration> = ContinuousClock(), logger: Logger
  ) {
    self.images = images
    self.gpuKeeper = gpuKeeper
    self.sealed = sealed
    self.sealedJobs = sealedJobs
    self.facts = facts
    self.headID = headID
    self.head = head
    self.content = content
    self.executors = executors
    self.machine = machine
    self.networks = networks
    self.settings = settings
    self.clock = clock
    self.logger = logger
    retry = Retry(pauses: settings.retryPauses, clock: clock)
    table = LeaseTable(capacity: facts.capacity)
  }

  /// Removes what a killed agent left in the state folder. Throws `fileSystem`.
  public func removeLeftovers() async throws {
    let folder = settings.stateFolder
    try await Blocking.run { try LeaseFolder.removeLeftovers(stateFolder: folder) }
  }

  /// Makes ahead what leases will want, until the node is shut down.
  func makeAhead() { sealed?.begin() }

  /// Every lease, for a registration.
  public func currentReports() -> [LeaseReport] { table.reports }

  /// The id of every lease, for a heartbeat.
  public func currentLeases() -> [LeaseID] { table.entries.keys.sorted() }

  /// What is not leased.
  public var free: ResourceSet { table.free }

  /// Stops every rank, waits until none runs and gives everything back: the node is going.
  public func shutDown() async {
    silence?.cancel()
    await withTaskGroup { group in
      for lease in held.keys {
        group.addTask { await self.remove(lease, cause: .nodeLost(reason: "the node was stopped")) }
      }
    }
    // In a task of its own: the node's is cancelled by now, and then nothing blocking would begin.
    if let sealed { await Task { try? await Blocking.run { sealed.end() } }.value }
  }

  // MARK: AgentService

  /// Reserves, fetches the working folder, prepares. Throws `wrongState` for an old epoch or where
  /// something is not free, `specInvalid`, `diskFull`, and `cancelled` where `stop` came first.
  public func prepare(_ grant: LeaseGrant, caller: PeerID) async throws -> LeasePrepared {
    try admit(caller)
    return try await prepare(grant)
  }

  /// Starts the rank's process; that it could not be started is reported as its end. Throws
  /// `notFound` and `wrongState`.
  public func start(_ lease: LeaseID, epoch: Int64, gang: GangStart, caller: PeerID) async throws {
    try admit(caller)
    guard held[lease]?.removal == nil else {
      throw IorunError(.notFound, "lease \(lease) is being given back")
    }
    guard try table.begin(lease, epoch: epoch) else { return }
    watchSilence()
    // A task of its own: the rank is started even where the caller gives up meanwhile.
    let launching = Task { await self.launch(lease, gang) }
    held[lease]?.launching = launching
    await launching.value
  }

  /// Stops the rank; its end is reported as `cause` unless its process ended by itself.
  public func stop(_ lease: LeaseID, cause: ExitCause, caller: PeerID) async throws {
    try admit(caller)
    stop(lease, cause: cause)
  }

  /// Gives everything back, once nothing of the lease runs any more.
  public func forget(_ lease: LeaseID, caller: PeerID) async throws {
    try admit(caller)
    await remove(lease, cause: .cancelled)
  }

  /// A client's process may reach a running rank for a while. Throws `notFound`.
  public func admit(_ pass: ClientPass, caller: PeerID) async throws {
    try admit(caller)
    // A rank that is just being started is waited for: its gang's tunnel may take a second.
    if view(of: pass.lease) == nil { await held[pass.lease]?.launching?.value }
    guard view(of: pass.lease) != nil else {
      throw IorunError(.notFound, "rank \(pass.lease) does not run here")
    }
    await guests?.admit(pass)
  }

  /// Completes the pair: who lets people in is told when a rank ends.
  func attach(_ guests: any RankGuests) { self.guests = guests }

  /// Completes the pair: the node's runtime side ends with its ranks when the head is silent.
  func attach(fencing runtime: @escaping @Sendable (String) -> Void) { fenceRuntime = runtime }

  /// A rank as people may reach it, while its process runs.
  func view(of id: LeaseID) -> RankView? {
    guard let lease = held[id], lease.removal == nil, let process = lease.process,
      let launch = lease.launch, case .running = table.entries[id]?.state
    else { return nil }
    return RankView(process: process, launch: launch, folder: lease.folder)
  }

  /// Whether a host answers at an IP address.
  public func reaches(_ address: String, milliseconds: Int, caller: PeerID) async throws -> Bool {
    try admit(caller)
    return try await Blocking.run {
      HostProbe.answers(address, within: .milliseconds(min(max(1, milliseconds), 2000)))
    }
  }

  private func admit(_ caller: PeerID) throws {
    guard caller == headID else {
      throw IorunError(
        .notAllowed, "only the node's head may call its agent, not \(caller.short)",
        remedy: "Send the request to the head")
    }
  }
}
