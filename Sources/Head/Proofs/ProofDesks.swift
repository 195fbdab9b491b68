internal import IorunCore
internal import IorunPoW
internal import Synchronization

/// Checks commitments and proofs on threads that may be busy for milliseconds: several desks side by
/// side, each device always at the same one, which keeps its session as well.
final class ProofDesks: Sendable {
  private final class Desk: Sendable {
    let desk: Mutex<ProofDesk>
    /// Apart from the desk, which may be busy with an answer for milliseconds.
    let sessions: Mutex<ProofSessions>

    init(_ verifier: Verifier, sessions: Int) {
      desk = Mutex(ProofDesk(verifier))
      self.sessions = Mutex(ProofSessions(maximum: sessions))
    }

    /// Who hands in what belongs to a challenge, as far as seals go.
    func submitter(_ challenge: Challenge, _ seal: Seal, _ rule: SealRule) -> Verifier.Submitter {
      guard rule == .session, case .code = seal else { return .anybody }
      let session = sessions.withLock {
        $0.session(of: challenge.device, epoch: challenge.epoch)
      }
      return session.map { .session($0) } ?? .sessionless
    }
  }

  /// Which seals count.
  enum SealRule {
    /// The device's signature, and codes of its session.
    case session
    /// The device's signature alone.
    case signature
  }

  private let desks: [Desk]

  /// `sessions`: the most that each desk keeps.
  init(_ issuer: ChallengeIssuer, count: Int = 16, sessions: Int = 4096) {
    desks = (0..<count).map { _ in Desk(Verifier(issuer), sessions: sessions) }
  }

  /// Keeps a session that a device begins, and returns the verifier's half of its key. Throws
  /// `notAllowed`, `malformed`.
  func open(
    _ hello: ProofSession.Hello, by verifier: PeerID, beacon: Digest
  ) async throws -> Digest {
    let desk = desk(of: hello.device)
    return try await Blocking.run {
      let (session, publicKey) = try ProofSession.accept(hello, by: verifier, beacon: beacon)
      desk.sessions.withLock { $0.keep(session) }
      return publicKey
    }
  }

  /// Throws a `Refusal`, `overloaded`, and faults of the verifier.
  func commit(
    _ commitment: Commitment, sealed rule: SealRule, epoch: Int64, nowMilliseconds: Int64
  ) async throws -> OpeningRequest {
    let desk = desk(of: commitment.challenge.device)
    return try await Blocking.run {
      let submitter = desk.submitter(commitment.challenge, commitment.seal, rule)
      return try desk.desk.withLock {
        try $0.commit(commitment, from: submitter, epoch: epoch, nowMilliseconds: nowMilliseconds)
      }
    }
  }

  /// Throws `overloaded`, and faults of the verifier.
  func submit(
    _ proof: Proof, sealed rule: SealRule, epoch: Int64, nowMilliseconds: Int64
  ) async throws -> Verdict {
    let desk = desk(of: proof.challenge.device)
    return try await Blocking.run {
      let submitter = desk.submitter(proof.challenge, proof.seal, rule)
      return try desk.desk.withLock {
        try $0.submit(proof, from: submitter, epoch: epoch, nowMilliseconds: nowMilliseconds)
      }
    }
  }

  /// Forgets what no answer can belong to any more.
  func forget(before epoch: Int64) {
    for desk in desks {
      desk.desk.withLock { $0.forget(before: epoch) }
      desk.sessions.withLock { $0.forget(before: epoch) }
    }
  }

  private func desk(of device: DeviceID) -> Desk { desks[Int(device.bytes[0]) % desks.count] }
}
