internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW
internal import Logging

/// Proves for its head what the node is: one challenge at a time, on the solver's own threads, with
/// the whole machine while nobody else has anything of it. A job that starts ends the work within the
/// solver's block, a few milliseconds.
actor ProverCore: ProverService {
  /// The device that this node is.
  nonisolated let device: DeviceID

  private struct Work {
    let challenge: Challenge
    let solver: Solver
    var task: Task<Void, Never>?
  }

  /// A table that waits for the walks over it; the machine stays taken for it.
  struct HeldTable {
    let order: TableOrder
    let table: LabelTable
    let givingWay: GivingWay
  }

  let key: SigningKey
  private let head: PeerID
  private let verifier: PatientVerifier
  private let answers: SealedAnswers
  let machine: IdleMachine
  let freeMemory: FreeMemory
  /// Where jobs' files are; `nil` where there is no disk to measure.
  let folder: String?
  var isMeasuringDisk = false
  /// The download that is on its way, when its last part came, and the one before it.
  var arriving: (stream: StreamReceiver, at: ContinuousClock.Instant)?
  var lastStream: Digest?
  let cores: Int
  let memory: Bytes
  let board: Digest?
  let calibration: Duration
  /// Its GPUs, each a device of its own.
  let gpus: [GPUProver]
  private let logger: Logger
  private var work: Work?
  /// A table that is being filled.
  var filling: (solver: Solver, task: Task<ProofStart, any Error>)?
  var held: HeldTable?
  /// Counts whenever the table is used, so that an old wait ends nothing.
  var heldCount = 0
  private var last: ProofProgress?
  /// How the last work of each kind ended, for the owner.
  private var ends: [PuzzleKind: WorkerStatus.Proof.Last] = [:]
  private var profile: Task<ProverProfile, any Error>?
  private(set) var isStopped = false

  /// The most steps of a lane in a check beside jobs: a few seconds of a core.
  static let mostStepsBesideJobs = 1 << 26

  /// Makes a prover that takes orders from `head` alone.
  ///
  /// - Parameters:
  ///   - calibration: how long each kind of work is measured for the claim.
  init(
    key: SigningKey, head: PeerID, verifier: any VerifierLink, machine: IdleMachine, cores: Int,
    memory: Bytes, board: Digest? = nil, calibration: Duration = .milliseconds(300),
    freeMemory: FreeMemory = .ofMachine, folder: String? = nil, gpus: [GPUProver] = [],
    logger: Logger = Logger(label: "iorun.prover")
  ) {
    self.board = board
    self.gpus = gpus
    self.key = key
    self.head = head
    self.verifier = PatientVerifier(link: verifier)
    answers = SealedAnswers(key: key, head: head, verifier: self.verifier, logger: logger)
    self.machine = machine
    self.freeMemory = freeMemory
    self.folder = folder
    self.cores = min(max(1, cores), LanePuzzle.allowedCores.upperBound)
    self.memory = memory
    self.calibration = calibration
    self.logger = logger
    device = DeviceID(key)
  }

  /// Ends what is under way; nothing is begun afterwards.
  func shutDown() async {
    isStopped = true
    await answers.end()
    for gpu in gpus { await gpu.shutDown() }
    filling?.solver.cancel()
    dropTable()
    work?.solver.cancel()
    // It may be waiting for a head that is gone.
    work?.task?.cancel()
  }

  // MARK: ProverService

  func profile(caller: PeerID) async throws -> ProverProfile {
    try admit(caller)
    if let profile { return try await profile.value }
    let measuring = Task { try await self.measure() }
    profile = measuring
    do {
      return try await measuring.value
    } catch {
      // Busy, or broken: the next question measures again.
      profile = nil
      throw error
    }
  }

  func start(_ challenge: Challenge, besideJobs: Bool, caller: PeerID) async throws -> ProofStart {
    try admit(caller)
    if let gpu = gpu(challenge.device) {
      await leaveToGPUs()
      return try await gpu.start(challenge)
    }
    try check(isOwn: challenge.device)
    await restGPUs()
    if besideJobs { try Self.checkIsSmall(challenge.puzzle) }
    if work?.challenge == challenge { return .started }
    await endWork()
    guard !isStopped, work == nil, filling == nil else { return .busy }
    let table = takeTable(for: challenge)
    if challenge.puzzle.kind.needsTable, table == nil {
      // It is walked over, not filled, while the head's clock runs.
      try check(fits: challenge.puzzle.memoryByteCount)
      return .busy
    }
    let solver = try Solver(
      challenge, threads: besideJobs ? 1 : cores, memory: Int(clamping: memory.rawValue),
      table: table?.table)
    work = Work(challenge: challenge, solver: solver)
    let givingWay = table?.givingWay ?? GivingWay()
    givingWay.use(solver)
    if !besideJobs, table == nil {
      let isTaken = await machine.take(Int64(challenge.puzzle.memoryByteCount), givingWay.want)
      guard isTaken, !isStopped else {
        if isTaken { machine.giveBack() }
        work = nil
        return .busy
      }
    }
    work?.task = Task {
      await self.solve(challenge, with: solver, besideJobs ? nil : givingWay)
    }
    return .started
  }

  func progress(caller: PeerID) async throws -> ProofProgress? {
    try admit(caller)
    guard let work else { return last }
    let progress = work.solver.progress
    return ProofProgress(
      challenge: work.challenge.id, kind: work.challenge.puzzle.kind,
      state: work.solver.isHeld ? .paused : .working, done: progress.done, total: progress.total)
  }

  func hold(_ challenge: [UInt8], isHeld: Bool, caller: PeerID) async throws {
    try admit(caller)
    for gpu in gpus where await gpu.hold(challenge, isHeld: isHeld) { return }
    guard let work, work.challenge.id == challenge else {
      throw IorunError(
        .notFound, "no work on that challenge is under way", remedy: "Start it again")
    }
    if isHeld { work.solver.pause() } else { work.solver.resume() }
  }

  func cancel(_ challenge: [UInt8], caller: PeerID) async throws {
    try admit(caller)
    for gpu in gpus { await gpu.cancel(challenge) }
    guard let work, work.challenge.id == challenge else { return }
    work.solver.cancel()
    await work.task?.value
  }

  /// What is under way is given up, and has ended when this returns.
  func endWork() async {
    if let before = work {
      before.solver.cancel()
      await before.task?.value
    }
    if let before = filling {
      before.solver.cancel()
      _ = await before.task.result
    }
  }

  /// True while nothing is solved or filled.
  var isIdle: Bool { work == nil && filling == nil }

  // MARK: Solving

  /// `givingWay`: `nil` beside jobs.
  private func solve(_ challenge: Challenge, with solver: Solver, _ givingWay: GivingWay?) async {
    var end = ProofProgress(
      challenge: challenge.id, kind: challenge.puzzle.kind, state: .submitted)
    // A check beside jobs comes alone in its hour: a session would cost the head more than it saves.
    if givingWay != nil { await answers.prepare(for: challenge) }
    do {
      let answer: Answer
      switch try await solver.solve() {
      case .complete(let whole): answer = whole
      case .committed(let done):
        answer = done.answer(to: try await answers.commit(challenge, roots: done.roots))
      }
      leaveMachine(givingWay)
      end.verdict = try await answers.submit(challenge, answer)
    } catch let error as IorunError where error.code == .cancelled {
      end.state = .stopped
      end.reason = "the machine was wanted, or the verifier wanted no more of it"
    } catch {
      end.state = .failed
      end.reason = (error as? IorunError)?.message ?? "\(error)"
      logger.warning("a proof came to no end: \(error)")
    }
    leaveMachine(givingWay)
    end.done = solver.progress.done
    end.total = solver.progress.total
    last = end
    ends[end.kind] = WorkerStatus.Proof.Last(end, at: Date().timeIntervalSince1970)
    if work?.challenge == challenge { work = nil }
    // Nobody waits for that: the solver's memory is free once this returns.
    if end.state == .stopped, givingWay?.isWanted == true {
      Task { await self.tellGaveWay(challenge) }
    }
  }

  /// The machine is free again, unless a table waits in it for the next walk.
  private func leaveMachine(_ givingWay: GivingWay?) {
    guard let givingWay else { return }
    if let held, held.givingWay === givingWay {
      keepTable(for: Self.patienceBetweenWalks)
    } else {
      machine.giveBack()
    }
  }

  private func tellGaveWay(_ challenge: Challenge) async {
    if !isStopped { await verifier.tellGaveWay(challenge.id, logger) }
  }

  /// What the machine's owner is told of its proofs.
  var ownersView: WorkerStatus.Proof {
    get async {
      var (all, working) = (Array(ends.values), work?.challenge.puzzle.kind)
      if filling != nil { working = working ?? .memory }
      for gpu in gpus {
        let view = await gpu.ownersView
        all += view.ends
        working = working ?? view.working
      }
      return WorkerStatus.Proof(
        device: device.description, working: working?.rawValue, last: all.max { $0.at < $1.at },
        latest: all.sorted { ($0.kind, $0.at) < ($1.kind, $1.at) })
    }
  }

  private static func checkIsSmall(_ puzzle: Puzzle) throws {
    guard case .lane(let lane) = puzzle, lane.cores == 1, lane.steps <= mostStepsBesideJobs else {
      throw IorunError(
        .malformed, "beside jobs only a second of one core's lanes is computed",
        remedy: "Wait until the jobs have ended")
    }
  }

  /// Throws `malformed` for another device's order.
  func check(isOwn other: DeviceID) throws { try Self.check(other, is: device) }

  /// The same of a GPU's.
  static func check(_ other: DeviceID, is device: DeviceID) throws {
    guard other == device else {
      throw IorunError(.malformed, "an order for device \(other), this is \(device)")
    }
  }

  func admit(_ caller: PeerID) throws {
    guard caller == head else {
      throw IorunError(
        .notAllowed, "only the node's head may ask for proofs, not \(caller.short)",
        remedy: "Send the request to the head")
    }
  }
}
