internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW
internal import Logging

/// One GPU of a node, which proves for the node's head what it is: with a key of its own, in a process of its
/// own, and only while jobs have nothing of the machine. A job that starts ends the process.
actor GPUProver {
  /// The device that the GPU is.
  nonisolated let device: DeviceID
  private let gpu: NodeFacts.GPU
  private let board: Digest?
  private let verifier: PatientVerifier
  private let answers: SealedAnswers
  private let machine: SharedMachine
  private let start: @Sendable (_ uuid: String) throws -> any GPUBackend
  private let calibration: Duration
  private let logger: Logger

  private var backend: (any GPUBackend)?
  /// Counts backends, so that an old wait ends none.
  private var count = 0
  private var table: TableOrder?
  private var isFilling = false
  private var works: [[UInt8]: Task<Void, Never>] = [:]
  private var claim: Task<ProverProfile, any Error>?
  private var isStopped = false
  /// A job ended the last process.
  private var wasWanted = false
  private var working: [PuzzleKind: Int] = [:]
  private var ends: [PuzzleKind: WorkerStatus.Proof.Last] = [:]

  /// Makes a prover.
  ///
  /// - Parameters:
  ///   - key: its own; see `all`.
  ///   - start: starts what computes on the GPU with that UUID.
  init(
    _ gpu: NodeFacts.GPU, key: SigningKey, head: PeerID, board: Digest? = nil,
    verifier: any VerifierLink,
    machine: SharedMachine, calibration: Duration = .seconds(1),
    logger: Logger = Logger(label: "iorun.prover"),
    start: @escaping @Sendable (_ uuid: String) throws -> any GPUBackend
  ) {
    (self.gpu, self.board) = (gpu, board)
    (self.machine, self.calibration) = (machine, calibration)
    self.verifier = PatientVerifier(link: verifier)
    answers = SealedAnswers(key: key, head: head, verifier: self.verifier, logger: logger)
    (self.logger, self.start) = (logger, start)
    device = DeviceID(key)
  }

  /// The provers of a node's GPUs; of those without a UUID there is none. Their keys follow from the node's
  /// and the UUID: who has the one has the others, on whatever machine.
  static func all(
    _ gpus: [NodeFacts.GPU], key: SigningKey, head: PeerID, board: Digest?, program: String,
    verifier: any VerifierLink, machine: IdleMachine, logger: Logger
  ) throws -> [GPUProver] {
    let shared = SharedMachine(machine)
    return try gpus.filter { !$0.uuid.isEmpty }.map { gpu in
      try GPUProver(
        gpu, key: self.key(of: gpu.uuid, node: key), head: head, board: board, verifier: verifier,
        machine: shared, logger: logger
      ) { try GPUChild(program: program, uuid: $0) }
    }
  }

  /// The key of a node's GPU.
  static func key(of uuid: String, node key: SigningKey) throws -> SigningKey {
    try SigningKey(
      rawRepresentation: HKDF.derive(
        key.rawRepresentation, info: Array("iorun/pow/1|gpu|\(uuid)".utf8),
        byteCount: SigningKey.byteCount))
  }

  // MARK: Orders

  /// What it claims; `nil` where it cannot prove anything. Throws `overloaded` while jobs have the machine.
  func profile() async throws -> ProverProfile? {
    if let claim { return try await claim.value }
    let measuring = Task { try await self.measure() }
    claim = measuring
    do {
      return try await measuring.value
    } catch {
      // Busy, or out of order: the next question measures again.
      claim = nil
      guard (error as? IorunError)?.code == .overloaded else {
        logger.info("GPU \(gpu.uuid) proves nothing: \(error)")
        return nil
      }
      throw error
    }
  }

  private func measure() async throws -> ProverProfile {
    let present = try await begun()
    defer { rest() }
    let work = GPUProcess.Work.measure(
      memoryBytes: Int(clamping: gpu.memory.rawValue),
      milliseconds: max(1, Int(calibration / .milliseconds(1))))
    do {
      guard case .measured(let rates) = try await present.perform(work) else {
        throw IorunError(.gpuFault, "the GPU's process did not measure")
      }
      return ProverProfile(
        device: device, cores: rates.groups, memory: gpu.memory,
        rates: [.product: rates.product, .gpuMemory: rates.walk], board: board,
        gpu: GPUClaim(uuid: gpu.uuid, model: gpu.model, labelRate: rates.label))
    } catch  where backend == nil {
      throw ProverCore.isBusy
    }
  }

  /// Fills its memory, and keeps it for the walks.
  func prepare(_ order: TableOrder) async throws -> ProofStart {
    try ProverCore.check(order.device, is: device)
    guard order.isOnGPU, order.byteCount <= Int(clamping: gpu.memory.rawValue) else {
      throw IorunError(
        .malformed, "a table of \(Bytes(UInt64(order.byteCount))) for a GPU with \(gpu.memory)")
    }
    if table == order, backend != nil, !isFilling {
      keep(for: ProverCore.patience)
      return .ready
    }
    guard !isStopped, !isFilling else { return .busy }
    giveUp()
    isFilling = true
    defer { isFilling = false }
    let present: any GPUBackend
    do {
      present = try await begun()
    } catch let error as IorunError where error.code == .overloaded {
      return .busy
    }
    do {
      _ = try await present.perform(.fill(order))
      guard backend != nil else { return .busy }
      table = order
      keep(for: ProverCore.patience)
      return .ready
    } catch {
      // A job ended it.
      guard backend != nil else { return .busy }
      giveUp()
      throw error
    }
  }

  /// Begins to solve: a walk over what was filled, or products beside it.
  func start(_ challenge: Challenge) throws -> ProofStart {
    try ProverCore.check(challenge.device, is: device)
    guard !challenge.puzzle.kind.isOnProcessor else {
      throw IorunError(.malformed, "\(challenge.puzzle.kind.rawValue) for a GPU")
    }
    if works[challenge.id] != nil { return .started }
    guard !isStopped, !isFilling, let backend, table != nil else { return .busy }
    count += 1
    working[challenge.puzzle.kind, default: 0] += 1
    works[challenge.id] = Task { await self.solve(challenge, on: backend) }
    return .started
  }

  /// Stands still, or goes on, both halves of a round. False where that challenge is not under way.
  func hold(_ challenge: [UInt8], isHeld: Bool) -> Bool {
    guard works[challenge] != nil else { return false }
    backend?.hold(isHeld)
    return true
  }

  /// Gives the work on a challenge up, and the other half of its round.
  func cancel(_ challenge: [UInt8]) async {
    guard let work = works[challenge] else { return }
    giveUp()
    await work.value
  }

  /// A table that only waits gives the machine back.
  func rest() { if works.isEmpty, !isFilling { giveUp() } }

  func shutDown() async {
    isStopped = true
    giveUp()
    await answers.end()
  }

  /// For the machine's owner.
  var ownersView: (working: PuzzleKind?, ends: [WorkerStatus.Proof.Last]) {
    let working = working.keys.min { $0.rawValue < $1.rawValue }
    return (working ?? (isFilling ? .gpuMemory : nil), Array(ends.values))
  }

  // MARK: The process

  /// What computes, in a machine that jobs have nothing of. Throws `overloaded` where they have.
  private func begun() async throws -> any GPUBackend {
    if let backend { return backend }
    let isTaken = await machine.take(device) { [weak self] in Task { await self?.leave() } }
    guard isTaken, !isStopped, backend == nil else {
      if isTaken { machine.giveBack(device) }
      throw ProverCore.isBusy
    }
    do {
      let present = try start(gpu.uuid)
      (backend, wasWanted) = (present, false)
      return present
    } catch {
      machine.giveBack(device)
      throw error
    }
  }

  /// Everything ends: the process, and with it what it has of the GPU.
  private func giveUp() {
    count += 1
    table = nil
    guard let present = backend else { return }
    backend = nil
    present.end()
    machine.giveBack(device)
  }

  /// A job wants the machine.
  private func leave() {
    wasWanted = true
    giveUp()
  }

  /// The table waits so long from now on.
  private func keep(for patience: Duration) {
    count += 1
    let present = count
    Task { [weak self] in
      try? await Task.sleep(for: patience)
      await self?.rest(ifStill: present)
    }
  }

  private func rest(ifStill present: Int) { if count == present { rest() } }

  private func solve(_ challenge: Challenge, on backend: any GPUBackend) async {
    let kind = challenge.puzzle.kind
    var end = ProofProgress(challenge: challenge.id, kind: kind, state: .submitted)
    await answers.prepare(for: challenge)
    do {
      guard case .solved(let roots) = try await backend.perform(.solve(challenge)) else {
        throw IorunError(.gpuFault, "the GPU's process did not solve")
      }
      let request = try await answers.commit(challenge, roots: roots)
      guard case .opened(let answer) = try await backend.perform(.open(request)) else {
        throw IorunError(.gpuFault, "the GPU's process did not open its work")
      }
      end.verdict = try await answers.submit(challenge, answer)
    } catch {
      let isWanted = self.backend == nil
      end.state = isWanted ? .stopped : .failed
      end.reason =
        isWanted
        ? "the machine was wanted, or the verifier wanted no more of it"
        : (error as? IorunError)?.message ?? "\(error)"
      if wasWanted, !isStopped { await verifier.tellGaveWay(challenge.id, logger) }
    }
    ends[kind] = WorkerStatus.Proof.Last(end, at: Date().timeIntervalSince1970)
    works[challenge.id] = nil
    working[kind, default: 1] -= 1
    if working[kind] == 0 { working[kind] = nil }
    if works.isEmpty { keep(for: ProverCore.patienceBetweenWalks) }
  }
}
