internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import Logging

/// Runs every job that is not over: takes in what happens, commits it, then acts.
///
/// Memory moves first, the disk follows in group commits, and nothing is told to a client or a node
/// before it is on disk. A commit that fails (a full disk) is tried again with the next event or
/// tick; until then nobody hears of it.
actor JobDirector {
  let head: PeerID
  let store: Store
  let directory: NodeDirectory
  let map: NetworkMap
  let archive: LogArchive
  let authoriser: Authoriser
  let clock: HeadClock
  let options: HeadOptions
  let agent: HeadServices.AgentLookup
  let missingChunks: HeadServices.MissingChunks
  let overlay: OverlayPool
  let logger: Logger

  var live: [JobID: LiveJob] = [:]
  /// Live jobs in the order in which they were accepted: the queue's order.
  var order: [JobID] = []
  /// The highest fencing epoch granted.
  var epoch: Int64
  /// How many changes were made in memory, and how many of them are on disk.
  var changes: UInt64 = 0
  var committed: UInt64 = 0
  var commit: Task<Void, any Error>?
  /// Who is looked at first when there is room.
  var line: PlacementLine
  /// What jobs asked for lately.
  var history = PackingHistory()
  private var packing: (score: PackingScore, models: Set<String>, at: Duration)?
  /// What placement knows of the network, as of the last news.
  var known = LiveInventory()
  /// What leases hold of nodes, and of which of these `known` does not know it yet.
  private var held = HoldingBook()
  private var recounted: Set<PeerID> = []
  /// Jobs that may hold other places than `held` says.
  private var uncounted: Set<JobID> = []
  private var hearing: Task<Void, Never>?
  /// How often the mix was looked at, and of which look `known` has the result.
  private var packings = 0
  private var knownPacking = 0
  private static let packingLife = Duration.seconds(10)
  /// How long attempts ran that have ended, for what is to be expected of others.
  var lengths = SurvivalCurve()
  /// Of how many jobs that are over a head that starts looks at the lengths.
  private static let lengthsKept = 10_000
  /// Gangs that wait for fresh round trips.
  var probeWaits: [JobID: ProbeWait] = [:]
  var isPlacing = false
  var placesAgain = false
  /// Calls to nodes under way; true where the same call is to be made once more afterwards.
  var callsUnderWay: [AgentCall: Bool] = [:]
  var routes: [ExecutorRoute] = []
  /// Whose process each executor is, of the ranks that have not ended.
  var executors: [PeerID: LeaseID] = [:]
  var routesHandler: (@Sendable ([ExecutorRoute]) -> Void)?
  /// Clients that reach into ranks.
  var attachments = AttachmentBook()
  var attachmentsHandler: (@Sendable (Set<AttachmentBook.Way>) -> Void)?

  /// Submits of each owner that are under way, and calls of each caller that wait for news.
  var submitting: [PeerID: Int] = [:]
  var waiting: [PeerID: Int] = [:]

  let tasks = TaskPool()
  private static let shutdownPatience = Duration.seconds(2)
  let statusBell = Doorbell<JobID>()
  let logBell = Doorbell<JobID>()

  init(
    head: PeerID, store: Store, directory: NodeDirectory, map: NetworkMap, archive: LogArchive,
    authoriser: Authoriser, clock: HeadClock, options: HeadOptions,
    agent: @escaping HeadServices.AgentLookup,
    missingChunks: @escaping HeadServices.MissingChunks, logger: Logger
  ) async throws {
    self.head = head
    self.store = store
    self.directory = directory
    self.map = map
    self.archive = archive
    self.authoriser = authoriser
    self.clock = clock
    self.options = options
    self.agent = agent
    self.missingChunks = missingChunks
    self.logger = logger
    overlay = OverlayPool(head: head)
    line = try PlacementLine(
      usage: try await store.usage(), quotas: try await store.quotas())
    epoch = try await store.epoch()
    for (record, ranks) in try await store.liveJobs() {
      live[record.id] = LiveJob(
        lifecycle: JobLifecycle(record: record, ranks: ranks), at: clock.moment)
      order.append(record.id)
      history.accepted(record.spec)
      uncounted.insert(record.id)
    }
    for length in try await store.lengths(ofLast: Self.lengthsKept) {
      lengths.ended(afterSeconds: length)
    }
    routes = currentRoutes()
    executors = Self.executors(of: routes)
  }

  /// What only time changes: silent nodes, timeouts, commits that failed.
  func tick() async {
    await directory.tick()
    expireAttachments()
    await loseDeadNodes()
    let elapsed = clock.elapsed()
    for (id, job) in live {
      let (record, ages) = (job.lifecycle.record, job.ages)
      if record.state == .queued, record.attempt == 0, let limit = record.spec.startBySeconds,
        ages.sinceSubmitted(elapsed) > limit
      {
        apply(.startByPassed, to: id)
      }
      let patience = options.prepareWithin.inSeconds
      if [.preparing, .stopping].contains(record.state), record.startedAt == nil,
        let age = ages.watchedSincePlaced(elapsed), age > patience
      {
        apply(.preparationPassed(attempt: record.attempt, seconds: patience), to: id)
      }
      // The node ends it in time by itself.
      guard record.state == .running, let limit = record.spec.timeoutSeconds,
        let age = ages.watchedSinceStarted(elapsed), age > limit + options.timeoutSlack.inSeconds
      else { continue }
      apply(.timeoutPassed(attempt: record.attempt), to: id)
    }
    await settleLater()
    placeSoon()
  }

  /// Ends every wait and every call to a node, and returns when none is left (or will not end).
  func shutDown() async {
    statusBell.ringAll()
    logBell.ringAll()
    await tasks.close(within: Self.shutdownPatience, clock)
    _ = await commit?.result
  }

  /// Takes a rank as lost where its node is.
  private func loseDeadNodes() async {
    for node in holdings().keys {
      if let reason = await directory.lossReason(of: node) {
        lose(node, reason: reason)
      } else if let silence = await directory.silence(of: node) {
        loseFenced(on: node, silence)
      }
    }
  }

  /// Ranks whose job has a fence of its own are over once it has passed, although their node may be
  /// back: it has stopped them.
  private func loseFenced(on node: PeerID, _ silence: Duration) {
    for id in jobs(on: node) {
      guard let spec = live[id]?.lifecycle.record.spec, let fence = spec.fenceSeconds,
        silence >= options.lossAfter(spec)
      else { continue }
      let reason = "no word came from it for the \(Int(fence)) s of the job's fence"
      apply(.nodeLost(node, reason: reason), to: id)
    }
  }

  /// Every job with a rank on `node` hears that it is lost.
  func lose(_ node: PeerID, reason: String) {
    for id in jobs(on: node) { apply(.nodeLost(node, reason: reason), to: id) }
  }

  /// The live jobs that have a rank on `node` that has not ended.
  func jobs(on node: PeerID) -> [JobID] {
    order.filter { id in
      live[id]?.lifecycle.ranks.contains { $0.node == node && !$0.isEnded } ?? false
    }
  }

  /// A job may hold other places than before.
  func recount(_ id: JobID) { uncounted.insert(id) }

  /// What live leases, and places that are kept for gangs, hold of each node.
  func holdings() -> [PeerID: Holding] {
    for id in uncounted {
      recounted.formUnion(live[id].map { held.set($0) } ?? held.remove(id))
    }
    uncounted = []
    return held.byNode
  }

  /// What is known of the network gets what is held of it now.
  func recountKnown() {
    _ = holdings()
    known.recount(recounted, held: held)
    recounted = []
  }

  /// What is known of the network goes out for a round of placement, with what is held of it now.
  func takeKnown() -> LiveInventory {
    recountKnown()
    defer { known = LiveInventory() }
    return known
  }

  /// A round is over. What leases hold is the truth: a place that it took may not have been given.
  func giveBack(_ round: consuming PlacementRound) {
    let (inventory, touched) = round.finish()
    known = inventory
    recounted.formUnion(touched)
  }

  /// Takes in what happened in the network since that was done last. One call after the other: nothing
  /// older comes over something newer.
  func hearNews() async {
    let before = hearing
    let task = Task {
      await before?.value
      await self.hear()
    }
    hearing = task
    await task.value
  }

  private func hear() async {
    var lost: Set<PeerID> = []
    for job in live.values where job.isQueued { lost.formUnion(job.lifecycle.record.lostNodes) }
    let nodes = await directory.takeChanges(and: lost)
    let (sites, doubts, tiers) = (await map.sites, await map.placeDoubts, await map.tiers)
    let peers = authoriser.peers
    let news = LiveInventory.News(
      nodes: nodes, asked: lost, peers: peers.takeChanged(), sites: sites, doubts: doubts,
      tiers: tiers)
    _ = holdings()
    known.update(news, held: held) { (peers.tenantName(of: $0), peers.labels(of: $0)) }
    recountKnown()
    let score = packing(of: Set(known.models.keys))
    if packings != knownPacking || (score == nil) != (known.book.packing == nil) {
      known.setPacking(score)
      knownPacking = packings
    }
  }

  /// The nodes and what is held of them.
  func inventory() async -> Inventory { inventory(of: await look()) }

  /// The nodes as they are told elsewhere.
  typealias Sight = (
    nodes: [NodeSnapshot], sites: NodeSites, doubts: [PeerID: String],
    tiers: [PeerID: ConnectivityTier]
  )

  func look() async -> Sight {
    (await directory.snapshot(), await map.sites, await map.placeDoubts, await map.tiers)
  }

  /// What was seen, with what is held of it now.
  func inventory(of sight: Sight) -> Inventory {
    Inventory(
      nodes: sight.nodes, holdings: holdings(), sites: sight.sites,
      standings: standings(of: sight),
      packing: packing(of: Set(sight.nodes.lazy.flatMap { $0.facts.gpus.map(\.model) })))
  }

  /// The mix as it was some seconds ago at most.
  private func packing(of models: Set<String>) -> PackingScore? {
    guard !models.isEmpty else { return nil }
    let now = clock.elapsed()
    if let packing, packing.models == models, now - packing.at < Self.packingLife {
      return packing.score
    }
    let score = PackingScore(history, models: models)
    packing = (score, models, now)
    packings += 1
    return score
  }

  private func standings(of sight: Sight) -> [PeerID: NodeStanding] {
    var standings: [PeerID: NodeStanding] = [:]
    for node in sight.nodes {
      standings[node.id] = NodeStanding(
        node, supplier: authoriser.peers.tenantName(of: node.id),
        vouched: authoriser.peers.labels(of: node.id), placeDoubt: sight.doubts[node.id],
        tier: sight.tiers[node.id] ?? .unrated)
    }
    return standings
  }
}

extension PackingHistory {
  /// A job with this spec was accepted.
  mutating func accepted(_ spec: JobSpec) {
    accepted(
      ranks: spec.gang.ranks, of: spec.gang.resources, gpuModel: spec.gang.gpuModel)
  }
}

extension Duration {
  /// The same in seconds.
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
