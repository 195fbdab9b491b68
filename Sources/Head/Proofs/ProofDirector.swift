internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// Asks devices what they are, and keeps what came of it: when windows begin, who is asked with whom,
/// which rounds are out, and where each device stands.
///
/// The rules are `DeviceState`'s, a value for each device. Memory moves first, the disk follows, and a
/// mark is shown, and counts for placement, only once what led to it is on disk.
actor ProofDirector {
  /// Reaches one node's prover.
  typealias ProverLookup = HeadServices.ProverLookup

  /// A round that is out.
  struct OpenRound {
    let challenge: Challenge
    let expected: ModelCatalogue.Expectation
    let isLaneCheck: Bool
    /// On the head's clock.
    let issuedAt: Duration
    /// On the head's clock: after it the round counts as unanswered.
    let closesAt: Duration
    /// Answers that are being checked: the round does not close under them.
    var answering = 0
  }

  struct Device {
    var record: DeviceRecord
    /// The rounds that are out: one, and for a GPU both halves of it.
    var opens: [PuzzleKind: OpenRound] = [:]
    /// What its memory is filled with.
    var table: Table?
    /// Those that were called at the same instant because they could be one with it.
    var cohort: Set<DeviceID> = []
    var limit: AnswerLimit
    /// Its connection is being probed; when that began last.
    var isProbing = false
    var probedAt: Duration?
    /// When its line was measured last.
    var streamedAt: Duration?
    /// Jobs of this head have it, or had it until now.
    var wasLeased = false
    /// When the node said that jobs have it, which the head need not know of.
    var saidBusyAt: Duration?
    /// It is to be run out of turn: it is new, or a run was broken off by the head's fault.
    var needsRun = false
    /// Its run is the short one of a device of which nothing is on record yet.
    var isAdmitted = false
    /// When the head heard of it, and when it was called out of turn last.
    var metAt: Duration
    var calledAt: Duration?

    var id: DeviceID { record.id }
    var node: PeerID { record.node }
    var state: DeviceState { record.state }
    /// True for a GPU, which is another device than its node.
    var isGPU: Bool { record.profile.gpu != nil }
    /// True from when a table is sent for until it is full.
    var isFilling: Bool {
      state.openKind?.needsTable == true && table?.isReady == false && table?.closesAt != nil
    }
    /// A round that is out; `nil` gives all of them up.
    var open: OpenRound? {
      get { opens.min { $0.key.rawValue < $1.key.rawValue }?.value }
      set { opens = newValue.map { [$0.challenge.puzzle.kind: $0] } ?? [:] }
    }
    /// The round that a challenge is, while it is out.
    func round(of challenge: Challenge) -> OpenRound? {
      opens[challenge.puzzle.kind].flatMap { $0.challenge == challenge ? $0 : nil }
    }
  }

  let head: PeerID
  let store: Store
  let directory: NodeDirectory
  let authoriser: Authoriser
  let secrets: VerifierSecrets
  let desks: ProofDesks
  let clock: HeadClock
  let settings: ProofSettings
  let prover: ProverLookup
  let holdings: @Sendable () async -> [PeerID: Holding]
  let latencyTwins: @Sendable () async -> [PeerID: Set<PeerID>]
  let logger: Logger
  let tasks = TaskPool()

  var devices: [DeviceID: Device] = [:]
  var deviceOf: [PeerID: DeviceID] = [:]
  /// Nodes' GPUs, each a device of its own.
  var gpusOf: [PeerID: Set<DeviceID>] = [:]
  /// The newest record of each kind of each device.
  var latest: [DeviceID: [PuzzleKind: ProofRecord]] = [:]
  /// Verdicts of this epoch and the one before, by place: the first of each stands.
  var verdicts: [ProofPlace: ProofRecord] = [:]
  /// The epoch whose window has begun.
  var windowEpoch: Int64 = -1
  /// Nodes that may be one machine, by their round trips, as they were a minute ago at most.
  var twins: [PeerID: Set<PeerID>] = [:]
  private var twinsSoughtAt: Duration?
  private static let twinsLife = Duration.seconds(60)
  /// Bursts that are still to come: when (seconds since 1970), and who.
  var bursts: [(at: Double, devices: [DeviceID])] = []
  /// Nodes that are being asked who they are, and when others may be asked again.
  var asking: Set<PeerID> = []
  /// The same for their GPUs.
  var askingGPUs: Set<PeerID> = []
  /// The devices whose lines are being measured.
  var measured: Set<DeviceID> = []
  var isMeasuringLines: Bool { !measured.isEmpty }
  /// They are broken off: devices of the group wait to be run.
  var linesGiveWay = false
  var askGPUsAgainAt: [PeerID: Duration] = [:]
  var askAgainAt: [PeerID: Duration] = [:]
  /// Round trips in milliseconds, where they were measured.
  var tripsToNodes: [PeerID: Double] = [:]
  /// The processors' names, as the nodes say them.
  var processors: [PeerID: String] = [:]
  var actions: [(device: DeviceID, action: DeviceState.Action)] = []
  /// Devices that get their second try.
  var reruns: [DeviceID] = []
  /// The epoch before which logs are closed and old records are gone.
  private var tidiedEpoch: Int64 = -1
  private var batch = ProofBatch()
  private var writing: Task<Void, any Error>?
  private static let shutdownPatience = Duration.seconds(1)

  init(
    head: PeerID, store: Store, directory: NodeDirectory, authoriser: Authoriser,
    secrets: VerifierSecrets, clock: HeadClock, settings: ProofSettings,
    prover: @escaping ProverLookup,
    holdings: @escaping @Sendable () async -> [PeerID: Holding],
    latencyTwins: @escaping @Sendable () async -> [PeerID: Set<PeerID>], logger: Logger
  ) async throws {
    self.head = head
    self.store = store
    self.directory = directory
    self.authoriser = authoriser
    self.secrets = secrets
    self.clock = clock
    self.settings = settings
    self.prover = prover
    self.holdings = holdings
    self.latencyTwins = latencyTwins
    self.logger = logger
    desks = ProofDesks(secrets.issuer)
    let now = clock.elapsed()
    for record in try await store.devices() {
      devices[record.id] = Device(
        record: record, limit: AnswerLimit(aMinute: settings.answersAMinute, now: now), metAt: now)
      link(record)
    }
    for record in try await store.verdicts(since: epoch - 1) { keep(record) }
  }

  /// The present epoch.
  var epoch: Int64 { EpochSchedule.epoch(atSeconds: Int64(clock.now())) }

  /// What a head that was killed left half done: no device is marked for that, and each is run anew.
  /// Called once, before the first tick.
  func takeUp() async {
    guard settings.mode != .off else { return }
    for device in devices.values where device.state.isOpen {
      apply(.verifierFailed(round: device.state.issued - 1), to: device.id)
      devices[device.id]?.needsRun = true
    }
    await show(devices.values.map(\.record))
    await flushLater()
  }

  /// What time, and others, have changed.
  func tick() async {
    guard settings.mode != .off else { return }
    let nodes = await directory.snapshot()
    let held = await holdings()
    if twinsSoughtAt.map({ clock.elapsed() - $0 >= Self.twinsLife }) ?? true {
      twinsSoughtAt = clock.elapsed()
      twins = await latencyTwins()
    }
    tripsToNodes = Dictionary(
      nodes.lazy.compactMap { node in node.roundTripMilliseconds.map { (node.id, $0) } },
      uniquingKeysWith: { $1 })
    processors = Dictionary(
      nodes.lazy.map { ($0.id, $0.facts.cpuModel) }, uniquingKeysWith: { $1 })
    // No suspension from here on: what is decided is decided on one state.
    // A machine that its owner keeps is not asked: a proof would take all of it.
    let alive = Dictionary(
      uniqueKeysWithValues: nodes.lazy.filter { $0.state == .alive && $0.ownerHold == nil }
        .map { ($0.id, $0) })
    meet(alive)
    meetGPUs(alive)
    noteHired(held, alive)
    beginWindow(alive)
    dropInterrupted(nodes)
    closeRounds()
    callOutOfTurn(alive)
    perform()
    probeConnections(alive)
    measureLines(alive)
    await flushLater()
    await tidy()
  }

  /// Ends every wait and every call to a node.
  func shutDown() async {
    await tasks.close(within: Self.shutdownPatience, clock)
    await flushLater()
  }

  // MARK: State

  /// Hands an event to a device's state, and notes what follows.
  func apply(_ event: DeviceState.Event, to id: DeviceID) {
    guard var device = devices[id] else { return }
    let now = clock.now()
    var mark = device.record.mark
    for action in device.record.state.handle(event) {
      if case .record(let transition) = action {
        batch.transitions.append((transition, now))
        (mark.reason, mark.since) = (transition.reason.name, now)
        if case .rerun = transition.reason { reruns.append(id) }
      } else {
        actions.append((id, action))
      }
    }
    (mark.status, mark.untilEpoch) =
      switch device.record.state.status {
      case .pending: (.pending, nil)
      case .verified(let last): (.verified, last)
      case .failed: (.failed, nil)
      }
    device.record.mark = mark
    devices[id] = device
    save(device)
  }

  /// What is known of a device is to be written.
  func save(_ device: Device) { batch.devices[device.id] = device.record }

  /// A transition that no event of the device's led to.
  func note(_ transition: Transition) { batch.transitions.append((transition, clock.now())) }

  /// A verdict is on record from now on.
  func note(_ record: ProofRecord) {
    keep(record)
    batch.verdicts.append(record)
  }

  private func keep(_ record: ProofRecord) {
    verdicts[ProofPlace(record.verdict)] = record
    latest[record.verdict.device, default: [:]][record.verdict.kind] = record
  }

  /// Which node a device is, or belongs to.
  func link(_ record: DeviceRecord) {
    if record.profile.gpu == nil {
      deviceOf[record.node] = record.id
    } else {
      gpusOf[record.node, default: []].insert(record.id)
    }
  }

  // MARK: The disk

  /// Marks count, and are shown, from now on.
  private func show(_ records: [DeviceRecord]) async {
    var (marks, gpuMarks): ([PeerID: DeviceMark], [PeerID: [String: DeviceMark]]) = ([:], [:])
    for record in records {
      if let gpu = record.profile.gpu {
        gpuMarks[record.node, default: [:]][gpu.uuid] = record.mark
      } else {
        marks[record.node] = record.mark
      }
    }
    await directory.set(marks: marks)
    if !gpuMarks.isEmpty { await directory.set(gpuMarks: gpuMarks) }
  }

  /// Returns once everything so far is on disk, and shown. Throws what the store throws; what could
  /// not be written is written with the next try.
  func flush() async throws {
    while let present = writing { _ = await present.result }
    guard !batch.isEmpty else { return }
    let taken = batch
    batch = ProofBatch()
    let task = Task { [store] in try await store.save(taken) }
    writing = task
    let result = await task.result
    writing = nil
    guard case .failure(let error) = result else {
      await show(Array(taken.devices.values))
      return
    }
    batch.devices.merge(taken.devices) { newer, _ in newer }
    batch.transitions = taken.transitions + batch.transitions
    batch.verdicts = taken.verdicts + batch.verdicts
    throw error
  }

  /// The same, where nobody waits for it.
  func flushLater() async {
    do {
      try await flush()
    } catch {
      logger.warning("records of proofs are not on disk yet", metadata: ["error": "\(error)"])
    }
  }

  /// Closes the logs of epochs that no answer can belong to any more, and drops what is old.
  private func tidy() async {
    let epoch = epoch
    guard tidiedEpoch < epoch else { return }
    tidiedEpoch = epoch
    desks.forget(before: epoch - 1)
    verdicts = verdicts.filter { $0.key.epoch >= epoch - 1 }
    do {
      for closed in try await store.openLogs(before: epoch - 1) {
        let entries = try await store.transitions(ofEpoch: closed)
        let signer = secrets.signer
        let signed = try await Blocking.run {
          var log = VerdictLog(epoch: closed)
          for entry in entries { try log.add(entry) }
          return try log.head(signedBy: signer)
        }
        try await store.save(signed)
      }
      try await store.pruneProofs(before: epoch - settings.keptEpochs)
    } catch {
      // The next epoch's turn takes it up again.
      logger.warning("a log of verdicts is not closed", metadata: ["error": "\(error)"])
    }
  }
}

/// Where an answer belongs: each place has one.
struct ProofPlace: Hashable, Sendable {
  let device: DeviceID
  let epoch: Int64
  let kind: PuzzleKind
  let round: Int

  init(_ challenge: Challenge) {
    (device, epoch) = (challenge.device, challenge.epoch)
    (kind, round) = (challenge.puzzle.kind, challenge.round)
  }

  init(_ verdict: Verdict) {
    (device, epoch) = (verdict.device, verdict.epoch)
    (kind, round) = (verdict.kind, verdict.round)
  }
}
