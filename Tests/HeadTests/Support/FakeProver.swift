import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import TestSupport

@testable import IorunHead

/// A node's prover that really solves, and then moves the head's clock by what its claim says that the
/// work takes, times `slowness`: what the head measures is what the test wants, on any machine.
actor FakeProver: ProverService {
  let node: PeerID
  nonisolated let key: SigningKey
  private let cores: Int
  private let time: ManualClock
  private var verifier: (any ProofService)?
  private var isStopped = false
  /// Its GPUs, and how slow their products are.
  private var gpus: [NodeFacts.GPU] = []
  private(set) var gpuKeys: [String: SigningKey] = [:]
  private var productSlowness = 1.0
  private var gpuTables: [DeviceID: LabelTable] = [:]

  var slowness = 1.0
  /// It is slow in searches that are shorter than this alone, in milliseconds; nil: in all its work.
  private var slowBelow: Int?
  /// The part of its memory that it has not; what it lacks of a table it makes anew with every step.
  var missing = 0.0
  /// It says that the machine has not the memory free.
  var lacksMemory = false
  /// Filling takes no time, unless this; never ends; is given up for jobs.
  var fillTime = Duration.zero
  var isStuckFilling = false
  var isBusyFilling = false
  private var memory = Bytes.gibi(8)
  /// How often it was asked for its profile.
  private(set) var profiles = 0
  private var echoKey: SigningKey?
  /// What the way there and back takes an echo: nothing, unless a test is about it and about no round,
  /// which it would make longer.
  private var trip = Duration.zero
  private var diskResult: DiskProbe.Result? = DiskProbe.Result(
    capacityBytes: 1 << 40, freeBytes: 1 << 39, writeBytesPerSecond: 5e8, readBytesPerSecond: 1e9,
    randomReadsPerSecond: 1e4, isDirect: true)
  private(set) var tables: [TableOrder] = []
  private var table: LabelTable?
  var isBusy = false
  /// Solves, and hands nothing in.
  var isSilent = false
  private(set) var started: [(challenge: Challenge, besideJobs: Bool)] = []
  private(set) var proofs: [Proof] = []
  private(set) var verdicts: [Verdict] = []

  /// What it claims of each core.
  static let rateOfCore = 100_000.0

  init(node: PeerID, cores: Int, time: ManualClock) throws {
    self.node = node
    self.cores = max(1, cores)
    self.time = time
    key = try SigningKey()
  }

  nonisolated var device: DeviceID { DeviceID(key) }

  func set(verifier: any ProofService) { self.verifier = verifier }
  func set(slowness: Double, inSearchesBelow milliseconds: Int? = nil) {
    self.slowness = slowness
    slowBelow = milliseconds
  }
  func set(missing: Double) { self.missing = missing }
  func set(fillTime: Duration) { self.fillTime = fillTime }
  func set(isStuckFilling: Bool) { self.isStuckFilling = isStuckFilling }
  func set(isBusyFilling: Bool) { self.isBusyFilling = isBusyFilling }
  func set(memory: Bytes) { self.memory = memory }
  func set(lacksMemory: Bool) { self.lacksMemory = lacksMemory }
  func set(isBusy: Bool) { self.isBusy = isBusy }
  func set(isSilent: Bool) { self.isSilent = isSilent }
  func stop() { isStopped = true }

  func profile(caller: PeerID) async throws -> ProverProfile {
    profiles += 1
    let rate = Self.rateOfCore * Double(cores)
    return ProverProfile(
      device: device, cores: cores, memory: memory,
      rates: [.hash: rate, .lane: rate, .memory: rate])
  }

  func set(gpus: [NodeFacts.GPU], productSlowness: Double = 1) throws {
    (self.gpus, self.productSlowness) = (gpus, productSlowness)
    for gpu in gpus where gpuKeys[gpu.uuid] == nil { gpuKeys[gpu.uuid] = try SigningKey() }
  }

  private func gpuKey(_ device: DeviceID) -> SigningKey? {
    gpuKeys.values.first { DeviceID($0) == device }
  }

  /// How long a round of the tests' options is, and rates of which one segment of 48 walks, or ten products of
  /// the smallest matrices, take just that.
  static let gpuRound = 0.05
  static let gpuRates: [PuzzleKind: Double] = [
    .gpuMemory: Double(48 * 1024) / gpuRound, .product: Double(10 * 128 * 128 * 128) / gpuRound,
  ]

  func gpus(caller: PeerID) async throws -> [ProverProfile] {
    gpus.compactMap { gpu in
      gpuKeys[gpu.uuid].map {
        ProverProfile(
          device: DeviceID($0), cores: 1, memory: gpu.memory, rates: Self.gpuRates,
          gpu: GPUClaim(uuid: gpu.uuid, model: gpu.model, labelRate: 2e6))
      }
    }
  }

  /// Both halves of a round take the round's time; they are at work at the same instant.
  private func solve(_ challenge: Challenge, onGPU key: SigningKey) async throws {
    let solver = try Solver(
      challenge, threads: 1, table: gpuTables[challenge.device])
    guard !isSilent, let verifier, case .committed(let work) = try await solver.solve() else {
      return
    }
    let isWalk = challenge.puzzle.kind == .gpuMemory
    // What begins at the same instant ends at the same: each moves the clock no further than to its end.
    let end =
      Double(challenge.opensAtMilliseconds) / 1000
      + Self.gpuRound * (isWalk ? slowness : productSlowness)
    let left = end - (Rig.start + time.now.offset.inSeconds)
    if left > 0 { time.advance(by: .seconds(left)) }
    let commitment = try Commitment(challenge, roots: work.roots, signedBy: .device(key))
    let request = try await verifier.commit(commitment, caller: node)
    let proof = try Proof(challenge, work.answer(to: request), signedBy: .device(key))
    verdicts.append(try await verifier.submit(proof, caller: node))
  }

  func set(diskResult: DiskProbe.Result?) { self.diskResult = diskResult }
  func set(trip: Duration) { self.trip = trip }
  func set(echoesAs echoKey: SigningKey?) { self.echoKey = echoKey }

  func echo(_ request: EchoProbe.Request, caller: PeerID) async throws -> EchoProbe.Reply {
    time.advance(by: trip)
    return try request.reply(.device(echoKey ?? key))
  }

  /// Bytes a second that its line takes, each way.
  private var lineRate: Double?
  private var receiver: StreamReceiver?
  /// Instead of its stream it sends what it has, and says that it got what it did not.
  private var cheatsWithStreams = false
  private(set) var streamed = 0

  func set(lineRate: Double?, cheats: Bool = false) {
    (self.lineRate, cheatsWithStreams) = (lineRate, cheats)
  }

  private func pass(_ count: Int) throws {
    guard let lineRate else { throw IorunError(.timedOut, "no answer") }
    streamed += count
    time.advance(by: .seconds(Double(count) / lineRate))
  }

  func take(
    _ part: Data, number: Int, of offer: StreamProbe.Offer, caller: PeerID
  ) async throws {
    if receiver?.offer != offer { receiver = try StreamReceiver(offer) }
    try receiver?.take(
      part: number, cheatsWithStreams ? Array(repeating: 0, count: part.count) : [UInt8](part))
    try pass(part.count)
  }

  func receipt(of offer: StreamProbe.Offer, key: Digest, caller: PeerID) async throws -> Seal {
    guard let receiver, receiver.offer == offer else { throw IorunError(.malformed, "no stream") }
    return try receiver.receipt(key: key, .device(self.key))
  }

  func part(_ number: Int, of offer: StreamProbe.Offer, caller: PeerID) async throws
    -> StreamProbe.Part
  {
    let part = try offer.upload(part: number, .device(key))
    try pass(part.bytes.count)
    return part
  }

  func disk(caller: PeerID) async throws -> DiskProbe.Result {
    guard let diskResult else { throw IorunError(.overloaded, "not now") }
    return diskResult
  }

  func prepare(_ order: TableOrder, caller: PeerID) async throws -> ProofStart {
    tables.append(order)
    if lacksMemory { throw IorunError(.noMemoryForProof, "not that much is free") }
    if isBusy || isBusyFilling { return .busy }
    while isStuckFilling, !isStopped { try await Task.sleep(for: .milliseconds(5)) }
    time.advance(by: fillTime)
    if isSilent { throw IorunError(.timedOut, "no answer") }
    let solver = try Solver(filling: order, threads: 2, memory: order.byteCount)
    guard case .committed(let filled) = try await solver.solve() else { return .busy }
    if order.isOnGPU { gpuTables[order.device] = filled.table } else { table = filled.table }
    return .ready
  }

  func start(_ challenge: Challenge, besideJobs: Bool, caller: PeerID) async throws -> ProofStart {
    let gpu = gpuKey(challenge.device)
    guard challenge.device == device || gpu != nil else {
      throw IorunError(.malformed, "another device's challenge")
    }
    started.append((challenge, besideJobs))
    if isBusy, !besideJobs { return .busy }
    if let gpu {
      Task { try await self.solve(challenge, onGPU: gpu) }
      return .started
    }
    if !isStopped { Task { try await self.solve(challenge) } }
    return .started
  }

  private func solve(_ challenge: Challenge) async throws {
    guard !isSilent, let verifier else { return }
    let proof = try await proof(challenge) { try await verifier.commit($0, caller: self.node) }
    proofs.append(proof)
    verdicts.append(try await verifier.submit(proof, caller: node))
  }

  /// An honest answer; the clock has moved by then.
  func proof(
    _ challenge: Challenge, commit: (Commitment) async throws -> OpeningRequest
  ) async throws -> Proof {
    let solver = try Solver(challenge, threads: 2, table: table)
    let solution = try await solver.solve()
    var steps = Double(solver.progress.done)
    if case .memory(let puzzle) = challenge.puzzle {
      steps += missing * Double(puzzle.steps * puzzle.labelSteps)
    }
    let seconds = steps / (Self.rateOfCore * Double(cores))
    time.advance(by: .seconds(seconds * slowness(challenge.puzzle)))
    switch solution {
    case .complete(let answer): return try Proof(challenge, answer, signedBy: .device(key))
    case .committed(let work):
      let commitment = try Commitment(challenge, roots: work.roots, signedBy: .device(key))
      let answer = work.answer(to: try await commit(commitment))
      return try Proof(challenge, answer, signedBy: .device(key))
    }
  }

  private func slowness(_ puzzle: Puzzle) -> Double {
    guard let slowBelow else { return slowness }
    guard case .hash(let hash) = puzzle, hash.milliseconds < slowBelow else { return 1 }
    return slowness
  }

  func progress(caller: PeerID) async throws -> ProofProgress? { nil }
  func hold(_ challenge: [UInt8], isHeld: Bool, caller: PeerID) async throws {}
  func cancel(_ challenge: [UInt8], caller: PeerID) async throws {}

  // MARK: What no verifier issued

  private static func stray(_ key: SigningKey) throws -> Challenge {
    try ChallengeIssuer(secret: Array(repeating: 9, count: 32)).challenge(
      .hash(HashPuzzle(milliseconds: 1)), for: DeviceID(key), epoch: 1,
      beacon: SHA256.digest(of: [1]), round: 0, opensAtMilliseconds: 1, deadlineMilliseconds: 2)
  }

  static func strayCommitment() throws -> Commitment {
    let key = try SigningKey()
    return try Commitment(stray(key), roots: [], signedBy: .device(key))
  }

  static func strayHello() throws -> ProofSession.Hello {
    try ProofSession.Offer(
      to: .sample(1), epoch: 1, beacon: SHA256.digest(of: [1]), key: SigningKey()
    ).hello
  }

  static func strayProof() throws -> Proof {
    let key = try SigningKey()
    return try Proof(stray(key), .sketch([]), signedBy: .device(key))
  }
}
