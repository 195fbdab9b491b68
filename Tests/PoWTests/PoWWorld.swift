import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

/// A verifier, a device and an epoch, with times that the tests choose.
struct PoWWorld {
  let issuer: ChallengeIssuer
  let key: SigningKey
  let beacon: Digest
  static let epoch: Int64 = 480_000
  static let opens: Int64 = 1_728_000_000_000

  init(beacon: UInt8 = 7) throws {
    issuer = try ChallengeIssuer(secret: [UInt8](repeating: 1, count: 32))
    key = try SigningKey(rawRepresentation: [UInt8](repeating: 2, count: 32))
    self.beacon = try #require(Digest(bytes: [UInt8](repeating: beacon, count: 32)))
  }

  var verifier: Verifier { Verifier(issuer) }
  var device: DeviceID { DeviceID(key) }

  func challenge(_ puzzle: Puzzle, round: Int = 0, epoch: Int64 = Self.epoch) throws -> Challenge {
    try issuer.challenge(
      puzzle, for: device, epoch: epoch, beacon: beacon, round: round,
      opensAtMilliseconds: Self.opens, deadlineMilliseconds: Self.opens + 5_000)
  }

  /// Both halves of a session; of another device where its key is given.
  func session(
    epoch: Int64 = Self.epoch, key: SigningKey? = nil, sessionBeacon: Digest? = nil
  ) throws -> (device: ProofSession, verifier: ProofSession) {
    let beacon = sessionBeacon ?? self.beacon
    let offer = try ProofSession.Offer(
      to: Self.here, epoch: epoch, beacon: beacon, key: key ?? self.key)
    let (session, publicKey) = try ProofSession.accept(
      offer.hello, by: Self.here, beacon: beacon)
    return (try offer.session(with: publicKey), session)
  }

  /// The verifier's address on the mesh.
  static let here = PeerID(high: 1, low: 1)

  /// The small puzzle of each kind.
  static func puzzle(_ kind: PuzzleKind) throws -> Puzzle {
    switch kind {
    case .hash: try .hash(HashPuzzle(milliseconds: 20))
    case .lane: try .lane(LanePuzzle(cores: 2, depth: 5, nodeSteps: 4, openings: 8))
    case .memory: try .memory(memory())
    case .gpuMemory: try .gpuMemory(memory())
    case .product: try .product(ProductPuzzle(size: 128, layers: 2, openings: 8))
    }
  }

  private static func memory() throws -> MemoryPuzzle {
    try MemoryPuzzle(
      labels: 2000, labelSteps: 3, cores: 2, segments: 5, segmentSteps: 4, openings: 8)
  }

  /// Solves a challenge as an honest device does: the proof, and the commitment before it.
  func solve(
    _ challenge: Challenge, threads: Int = 2, kernel: Kernel? = nil, table: LabelTable? = nil
  ) async throws -> (proof: Proof, commitment: Commitment?, work: CommittedWork?) {
    let solver = try Solver(challenge, threads: threads, table: table, kernel: kernel)
    switch try await solver.solve() {
    case .complete(let answer):
      return (try Proof(challenge, answer, signedBy: .device(key)), nil, nil)
    case .committed(let work):
      let commitment = try Commitment(challenge, roots: work.roots, signedBy: .device(key))
      let request = try verifier.request(
        for: commitment, from: .anybody, epoch: challenge.epoch,
        nowMilliseconds: Self.opens + 500)
      let proof = try Proof(challenge, work.answer(to: request), signedBy: .device(key))
      return (proof, commitment, work)
    }
  }

  func verdict(
    _ proof: Proof, epoch: Int64 = Self.epoch, arrival: Int64 = Self.opens + 1_000
  ) throws -> Verdict {
    try verifier.verdict(
      on: proof, from: .anybody, epoch: epoch, arrivalMilliseconds: arrival)
  }
}

/// A seeded generator (SplitMix64), so that a failing case can be run again.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
  /// A standard normal number (Box and Muller).
  mutating func normal() -> Double {
    let (u, v) = (
      Double.random(in: 1e-12..<1, using: &self), Double.random(in: 0..<1, using: &self)
    )
    return (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
  }
}
