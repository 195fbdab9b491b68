import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Synchronization

@testable import IorunWorker

/// The head as the prover sees it.
final class FakeVerifier: VerifierLink {
  struct State: Sendable {
    var desk: ProofDesk
    var verdicts: [Verdict] = []
    var gaveWay: [[UInt8]] = []
    var sessions = ProofSessions()
    /// Seals that were codes of sessions.
    var codes = 0
    /// Calls that fail first.
    var unreachable = 0
  }
  let issuer: ChallengeIssuer
  let state: Mutex<State>

  init() throws {
    issuer = try ChallengeIssuer(secret: Array(repeating: 3, count: 32))
    state = Mutex(State(desk: ProofDesk(Verifier(issuer))))
  }

  static let epoch: Int64 = 480_000
  static let opens: Int64 = 1_728_000_000_000

  func challenge(_ puzzle: Puzzle, for device: DeviceID, round: Int = 0) throws -> Challenge {
    try issuer.challenge(
      puzzle, for: device, epoch: Self.epoch, beacon: SHA256.digest(of: [1]), round: round,
      opensAtMilliseconds: Self.opens, deadlineMilliseconds: Self.opens + 60_000)
  }

  private func reach(_ state: inout State) throws {
    guard state.unreachable > 0 else { return }
    state.unreachable -= 1
    throw IorunError(.unreachable, "no answer")
  }

  func openSession(_ hello: ProofSession.Hello) async throws -> Digest {
    let (session, publicKey) = try ProofSession.accept(
      hello, by: PeerID(high: 1, low: 1), beacon: SHA256.digest(of: [1]))
    state.withLock { $0.sessions.keep(session) }
    return publicKey
  }

  private func submitter(
    _ challenge: Challenge, _ seal: Seal, _ state: inout State
  ) -> Verifier.Submitter {
    guard case .code = seal else { return .anybody }
    state.codes += 1
    return state.sessions.session(of: challenge.device, epoch: challenge.epoch).map {
      .session($0)
    } ?? .sessionless
  }

  func commit(_ commitment: Commitment) async throws -> OpeningRequest {
    try state.withLock { state in
      try reach(&state)
      let submitter = submitter(commitment.challenge, commitment.seal, &state)
      return try state.desk.commit(
        commitment, from: submitter, epoch: Self.epoch, nowMilliseconds: Self.opens + 100)
    }
  }

  func submit(_ proof: Proof) async throws -> Verdict {
    try state.withLock { state in
      try reach(&state)
      let submitter = submitter(proof.challenge, proof.seal, &state)
      let verdict = try state.desk.submit(
        proof, from: submitter, epoch: Self.epoch, nowMilliseconds: Self.opens + 100)
      state.verdicts.append(verdict)
      return verdict
    }
  }

  func gaveWay(_ challenge: [UInt8]) async throws {
    state.withLock { $0.gaveWay.append(challenge) }
  }
}
