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

  var slowness = 1.0
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
  func set(slowness: Double) { self.slowness = slowness }
  func set(isBusy: Bool) { self.isBusy = isBusy }
  func set(isSilent: Bool) { self.isSilent = isSilent }
  func stop() { isStopped = true }

  func profile(caller: PeerID) async throws -> ProverProfile {
    let rate = Self.rateOfCore * Double(cores)
    return ProverProfile(
      device: device, cores: cores, memory: .gibi(1), rates: [.hash: rate, .lane: rate])
  }

  func start(_ challenge: Challenge, besideJobs: Bool, caller: PeerID) async throws -> ProofStart {
    guard challenge.device == device else {
      throw IorunError(.malformed, "another device's challenge")
    }
    started.append((challenge, besideJobs))
    if isBusy, !besideJobs { return .busy }
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
    let solver = try Solver(challenge, threads: 2)
    let solution = try await solver.solve()
    let seconds = Double(solver.progress.done) / (Self.rateOfCore * Double(cores))
    time.advance(by: .seconds(seconds * slowness))
    switch solution {
    case .complete(let answer): return try Proof(challenge, answer, signedBy: .device(key))
    case .committed(let work):
      let commitment = try Commitment(challenge, roots: work.roots, signedBy: .device(key))
      let answer = work.answer(to: try await commit(commitment))
      return try Proof(challenge, answer, signedBy: .device(key))
    }
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

  static func strayProof() throws -> Proof {
    let key = try SigningKey()
    return try Proof(stray(key), .sketch([]), signedBy: .device(key))
  }
}
