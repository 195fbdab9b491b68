internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import IorunWire
internal import Logging

/// Runtime jobs at the head: which nodes offer what, who waits for room, where actors live, which
/// bundles are reserved.
///
/// Everything is in memory: 3,000 placement groups a second leave no time for a disk, and nothing is
/// lost with the head, because each agent tells all it has when it registers with the next one.
actor ClusterDirector: ClusterService {
  let head: PeerID
  let directory: NodeDirectory
  let authoriser: Authoriser
  let clock: HeadClock
  let limits: ClusterLimits
  let bridge: HeadServices.BridgeLookup
  let logger: Logger

  var members: [NodeID: ClusterMember] = [:]
  /// Counts changes of who is a member and what they offer.
  var membersVersion: UInt64 = 0
  /// True where some of them take their owners' work alone.
  var hasBareMembers = false
  /// Nodes that were members and are gone, for `clusterNodes`; as they were last, and why.
  var formerMembers: [NodeID: (member: ClusterMember, reason: String)] = [:]
  /// True while nodes that the head knows have not registered their runtime side.
  var expectsMembers = true
  /// These nodes.
  var awaitedMembers: Set<NodeID> = []
  /// Actors of which only their creators' nodes have told.
  var hearsay: Set<RuntimeActorID> = []
  /// True where actors were learned from nodes since orphans were looked for.
  var hasAdopted = false
  var jobs: [JobID: ClusterJob] = [:]
  /// Jobs that are over, the oldest first.
  var endedJobs: [ClusterJob] = []
  var actors: [RuntimeActorID: LiveActor] = [:]
  var actorNames: [RuntimeActorName: RuntimeActorID] = [:]
  /// The living actors that each process made.
  var madeBy: [ProcessAddress: Set<RuntimeActorID>] = [:]
  /// Actors whose end was asked for before they came: calls may overtake each other.
  var doomed = DoomedActors()
  /// Dead actors, the oldest first.
  var deadActors: [RuntimeActorID] = []
  var groups: [GroupID: LiveGroup] = [:]
  var groupNames: [PlacementGroupName: GroupID] = [:]
  /// The epoch of the last reservation; begins at the time of day, above those of an earlier head.
  var epoch: Int64

  var line = WaitingLine()
  /// Requests for leases that are not answered yet, by their holders' names for them.
  var leaseNumbers: [LeaseTicket: UInt64] = [:]
  var doomedLeases = DoomedLeases()
  var leaseWaiters: [UInt64: LeaseWaiter] = [:]
  var nextNumber: UInt64 = 1
  /// The node that a demand with SPREAD took last.
  var lastSpread: NodeID?
  var isPumping = false
  /// True once the head ends: no node is called any more.
  private var isShutDown = false
  var generator = SystemRandomNumberGenerator()
  let startedAt: Duration
  var membersHandler: (@Sendable (Set<PeerID>) -> Void)?

  let tasks = TaskPool()
  let groupBell = Doorbell<GroupID>()
  let memberBell = Doorbell<NodeID>()
  private static let shutdownPatience = Duration.seconds(1)

  init(
    head: PeerID, directory: NodeDirectory, authoriser: Authoriser, clock: HeadClock,
    limits: ClusterLimits = ClusterLimits(), bridge: @escaping HeadServices.BridgeLookup,
    logger: Logger
  ) {
    self.head = head
    self.directory = directory
    self.authoriser = authoriser
    self.clock = clock
    self.limits = limits
    self.bridge = bridge
    self.logger = logger
    startedAt = clock.elapsed()
    epoch = Int64(clock.now() * 1000)
  }

  /// What only time changes.
  func tick() async {
    await lookAtNodes()
    // A node that refused without a change of what is free is asked again.
    for node in members.keys { members[node]?.refusals = [] }
    settleHearsay()
    endOrphans()
    pump()
  }

  /// Ends every wait and every call.
  func shutDown() async {
    isShutDown = true
    groupBell.ringAll()
    memberBell.ringAll()
    for waiter in leaseWaiters.values {
      waiter.continuation.resume(
        throwing: IorunError(.unreachable, "the head is shutting down"))
    }
    leaseWaiters = [:]
    for member in members.values { for cancel in member.calls.values { cancel() } }
    await tasks.close(within: Self.shutdownPatience, clock)
  }

  // MARK: what the extensions share

  /// The caller's node, once its runtime side is registered: after a restart of the head, calls may
  /// come before.
  ///
  /// - Throws: `notAllowed` for a peer that offers no node, `notFound` where it does not register.
  func caller(_ peer: PeerID) async throws -> NodeID {
    try authoriser.check(peer, may: .offerNode)
    let node = NodeID(peer)
    if members[node] != nil { return node }
    let listener = memberBell.listen(to: node)
    if members[node] == nil {
      await listener.wait(atMost: limits.registrationPatience, clock)
    }
    guard members[node] != nil else { throw Self.unregistered }
    return node
  }

  static let unregistered = IorunError(
    .notFound, "the head does not know the runtime side of this node",
    remedy: "Register it again")

  /// A number that is used once.
  func draw() -> UInt64 {
    defer { nextNumber += 1 }
    return nextNumber
  }

  /// Calls a node. The call ends with `peerLost` when the node is lost, its caller is cancelled or the
  /// head ends.
  func call<Result: Sendable>(
    _ node: NodeID,
    _ body: @escaping @Sendable (any BridgeService) async throws -> Result
  ) async throws -> Result {
    guard !isShutDown, members[node] != nil else { throw Self.lost(node) }
    let bridge = try self.bridge(node.peer)
    let number = draw()
    let task = Task { try await body(bridge) }
    members[node]?.calls[number] = { task.cancel() }
    defer { members[node]?.calls[number] = nil }
    do {
      // Who gives up ends the call, too: the head's end would wait for it else.
      return try await withTaskCancellationHandler {
        try await task.value
      } onCancel: {
        task.cancel()
      }
    } catch is CancellationError {
      throw Self.lost(node)
    }
  }

  /// Tells a node something whose answer nobody waits for; told again until the node hears it, is
  /// lost, or has failed to hear it a few times.
  func tell(
    _ node: NodeID, _ what: String,
    _ body: @escaping @Sendable (any BridgeService) async throws -> Void
  ) {
    tasks.run { [weak self] in
      guard let self else { return }
      for attempt in 0..<5 {
        do {
          return try await self.call(node, body)
        } catch let error as IorunError where Self.isSilence(error) {
          if await self.members[node] == nil { return }
          guard (try? await self.clock.sleep(.milliseconds(50 << attempt))) != nil else { return }
        } catch {
          self.logger.warning("a node did not take '\(what)': \(error)")
          return
        }
      }
    }
  }

  /// Tells all nodes.
  func tellAll(
    _ what: String, but except: NodeID? = nil,
    _ body: @escaping @Sendable (any BridgeService) async throws -> Void
  ) {
    for node in members.keys where node != except { tell(node, what, body) }
  }

  static func lost(_ node: NodeID) -> IorunError {
    IorunError(.peerLost, "node \(node.peer.short) is lost")
  }

  /// True where a call failed on its way: it may or may not have been heard.
  static func isSilence(_ error: IorunError) -> Bool {
    [.unreachable, .peerLost, .timedOut, .actorNotFound].contains(error.code)
  }

  /// True where the node is to be passed over for now.
  static func isRefusal(_ error: IorunError) -> Bool {
    error.code == .overloaded || isSilence(error)
  }
}
