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

  private let key: SigningKey
  private let head: PeerID
  private let verifier: any VerifierLink
  private let machine: IdleMachine
  private let cores: Int
  private let memory: Bytes
  private let board: Digest?
  private let calibration: Duration
  private let logger: Logger
  private var work: Work?
  private var last: ProofProgress?
  /// Seconds since 1970 (UTC).
  private var lastAt = 0.0
  private var profile: Task<ProverProfile, any Error>?
  private var isStopped = false

  /// The most steps of a lane in a check beside jobs: a few seconds of a core.
  static let mostStepsBesideJobs = 1 << 26
  /// Tries to reach the head with an answer; the deadline is the head's affair.
  private static let tries = 5

  /// Makes a prover that takes orders from `head` alone.
  ///
  /// - Parameters:
  ///   - calibration: how long each kind of work is measured for the claim.
  init(
    key: SigningKey, head: PeerID, verifier: any VerifierLink, machine: IdleMachine, cores: Int,
    memory: Bytes, board: Digest? = nil, calibration: Duration = .milliseconds(300),
    logger: Logger = Logger(label: "iorun.prover")
  ) {
    self.board = board
    self.key = key
    self.head = head
    self.verifier = verifier
    self.machine = machine
    self.cores = min(max(1, cores), LanePuzzle.allowedCores.upperBound)
    self.memory = memory
    self.calibration = calibration
    self.logger = logger
    device = DeviceID(key)
  }

  /// Ends what is under way; nothing is begun afterwards.
  func shutDown() {
    isStopped = true
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
    guard challenge.device == device else {
      throw IorunError(.malformed, "a challenge for device \(challenge.device), this is \(device)")
    }
    if besideJobs { try Self.checkIsSmall(challenge.puzzle) }
    if work?.challenge == challenge { return .started }
    if let before = work {
      before.solver.cancel()
      await before.task?.value
    }
    guard !isStopped, work == nil else { return .busy }
    let solver = try Solver(
      challenge, threads: besideJobs ? 1 : cores, memory: Int(clamping: memory.rawValue))
    work = Work(challenge: challenge, solver: solver)
    let givingWay = GivingWay()
    givingWay.use(solver)
    if !besideJobs {
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
    guard let work, work.challenge.id == challenge else {
      throw IorunError(
        .notFound, "no work on that challenge is under way", remedy: "Start it again")
    }
    if isHeld { work.solver.pause() } else { work.solver.resume() }
  }

  func cancel(_ challenge: [UInt8], caller: PeerID) async throws {
    try admit(caller)
    guard let work, work.challenge.id == challenge else { return }
    work.solver.cancel()
    await work.task?.value
  }

  // MARK: Solving

  /// `givingWay`: `nil` beside jobs.
  private func solve(_ challenge: Challenge, with solver: Solver, _ givingWay: GivingWay?) async {
    var end = ProofProgress(
      challenge: challenge.id, kind: challenge.puzzle.kind, state: .submitted)
    do {
      let proof: Proof
      switch try await solver.solve() {
      case .complete(let answer):
        proof = try Proof(challenge, answer, signedBy: .device(key))
      case .committed(let done):
        let commitment = try Commitment(challenge, roots: done.roots, signedBy: .device(key))
        let request = try await reach { try await self.verifier.commit(commitment) }
        proof = try Proof(challenge, done.answer(to: request), signedBy: .device(key))
      }
      if givingWay != nil { machine.giveBack() }
      end.verdict = try await reach { try await self.verifier.submit(proof) }
    } catch let error as IorunError where error.code == .cancelled {
      end.state = .stopped
      end.reason = "the machine was wanted, or the verifier wanted no more of it"
      if givingWay?.isWanted == true { await tellGaveWay(challenge) }
    } catch {
      end.state = .failed
      end.reason = (error as? IorunError)?.message ?? "\(error)"
      logger.warning("a proof came to no end: \(error)")
    }
    if givingWay != nil { machine.giveBack() }
    end.done = solver.progress.done
    end.total = solver.progress.total
    last = end
    lastAt = Date().timeIntervalSince1970
    if work?.challenge == challenge { work = nil }
  }

  private func tellGaveWay(_ challenge: Challenge) async {
    guard !isStopped else { return }
    do {
      try await reach { try await self.verifier.gaveWay(challenge.id) }
    } catch {
      logger.info("the head did not hear that a proof gave way: \(error)")
    }
  }

  /// Calls the head again where it could not be reached: a short gap must not cost a round.
  private func reach<Value: Sendable>(_ call: () async throws -> Value) async throws -> Value {
    for pause in 0..<Self.tries {
      do {
        return try await call()
      } catch let error as IorunError
        where [.unreachable, .timedOut, .peerLost, .overloaded].contains(error.code)
      {
        try await Task.sleep(for: .milliseconds(200 << pause))
      }
    }
    return try await call()
  }

  // MARK: The claim

  /// Measures each kind of work with the solver that will prove it, so that claim and proof have the
  /// same overheads.
  private func measure() async throws -> ProverProfile {
    try await Blocking.run { try KernelSelfTest.run() }
    let givingWay = GivingWay()
    guard work == nil, !isStopped, await machine.take(1 << 20, givingWay.want) else {
      throw Self.isBusy
    }
    defer { machine.giveBack() }
    do {
      let milliseconds = max(1, Int(calibration / .milliseconds(1)))
      let hash = try await rate(of: .hash(HashPuzzle(milliseconds: milliseconds)), givingWay)
      // Twice: the first, of a few milliseconds, says how long the second has to be.
      let short = try await rate(of: Self.lanes(cores: cores, steps: 1 << 16), givingWay)
      let steps = short / Double(LanePuzzle.lanesPerCore * cores) * (calibration / .seconds(1))
      let lane = try await rate(of: Self.lanes(cores: cores, steps: Int(steps)), givingWay)
      return ProverProfile(
        device: device, cores: cores, memory: memory, rates: [.hash: hash, .lane: lane],
        board: board)
    } catch let error as IorunError where error.code == .cancelled {
      throw Self.isBusy
    }
  }

  private static let isBusy = IorunError(
    .overloaded, "jobs have this machine, and its rates are not measured yet",
    remedy: "Wait until it is idle")

  private func rate(of puzzle: Puzzle, _ givingWay: GivingWay) async throws -> Double {
    let issuer = try ChallengeIssuer(secret: SecureRandom.bytes(ChallengeIssuer.secretByteCount))
    let challenge = try issuer.challenge(
      puzzle, for: device, epoch: 0, beacon: SHA256.digest(of: device.bytes), round: 0,
      opensAtMilliseconds: 0, deadlineMilliseconds: 1)
    let solver = try Solver(challenge, threads: cores, memory: Int(clamping: memory.rawValue))
    givingWay.use(solver)
    let start = ContinuousClock.now
    _ = try await solver.solve()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    return Double(solver.progress.done) / max(seconds, 1e-6)
  }

  /// Short lanes, with nodes of the size that a whole round has: smaller ones would make the claim
  /// too low.
  private static func lanes(cores: Int, steps: Int) throws -> Puzzle {
    let nodeSteps = 256
    var depth = 1
    while depth < 14, steps >> (depth + 1) > nodeSteps { depth += 1 }
    return try .lane(LanePuzzle(cores: cores, depth: depth, nodeSteps: nodeSteps))
  }

  /// What the machine's owner is told of its proofs.
  var ownersView: WorkerStatus.Proof {
    WorkerStatus.Proof(
      device: device.description, working: work?.challenge.puzzle.kind.rawValue,
      last: last.map { last in
        WorkerStatus.Proof.Last(
          kind: last.kind.rawValue, state: last.state.rawValue,
          isAccepted: last.verdict?.isAccepted, refusal: last.verdict?.refusal?.rawValue,
          rate: last.verdict?.rate, unit: last.kind.unit, reason: last.reason, at: lastAt)
      })
  }

  private static func checkIsSmall(_ puzzle: Puzzle) throws {
    guard case .lane(let lane) = puzzle, lane.cores == 1, lane.steps <= mostStepsBesideJobs else {
      throw IorunError(
        .malformed, "beside jobs only a second of one core's lanes is computed",
        remedy: "Wait until the jobs have ended")
    }
  }

  private func admit(_ caller: PeerID) throws {
    guard caller == head else {
      throw IorunError(
        .notAllowed, "only the node's head may ask for proofs, not \(caller.short)",
        remedy: "Send the request to the head")
    }
  }
}
