internal import IorunCore
internal import IorunCrypto
internal import IorunPoW
internal import Logging

/// Hands in what a device has computed, sealed: by the code of a session with the head where there is
/// one, which costs the head a hundredth, else by the device's signature. No answer waits for a session,
/// and a head that has forgotten one gets the same answer again, signed.
actor SealedAnswers {
  private enum State {
    case none
    case opening(epoch: Int64, Task<Void, Never>)
    case open(ProofSession)
    /// No session was had in that epoch: an older head has none, and another try would cost it the same.
    case refused(epoch: Int64)
    /// None is begun any more.
    case ended
  }

  private let key: SigningKey
  private let head: PeerID
  private let verifier: PatientVerifier
  private let logger: Logger
  private var state = State.none

  init(key: SigningKey, head: PeerID, verifier: PatientVerifier, logger: Logger) {
    (self.key, self.head, self.verifier, self.logger) = (key, head, verifier, logger)
  }

  /// Begins a session for a challenge's epoch, unless there is one, while the challenge is worked on.
  func prepare(for challenge: Challenge) {
    switch state {
    case .open(let session) where session.serves(challenge): return
    case .opening(challenge.epoch, _), .refused(challenge.epoch), .ended: return
    case .opening(_, let task): task.cancel()
    case .none, .open, .refused: break
    }
    state = .opening(epoch: challenge.epoch, Task { await self.open(for: challenge) })
  }

  private func open(for challenge: Challenge) async {
    do {
      let offer = try ProofSession.Offer(
        to: head, epoch: challenge.epoch, beacon: challenge.beacon, key: key)
      let session = try offer.session(with: await verifier.openSession(offer.hello))
      if isOpening(challenge.epoch) { state = .open(session) }
    } catch {
      if isOpening(challenge.epoch) { state = .refused(epoch: challenge.epoch) }
      logger.debug("no session with the head, proofs are signed: \(error)")
    }
  }

  private func isOpening(_ epoch: Int64) -> Bool {
    if case .opening(epoch, _) = state { true } else { false }
  }

  /// Which pieces of the roots to open. Throws what the head throws.
  func commit(_ challenge: Challenge, roots: [Digest]) async throws -> OpeningRequest {
    if let session = session(for: challenge) {
      do {
        return try await verifier.commit(
          Commitment(challenge, roots: roots, signedBy: .session(session)))
      } catch let error as IorunError where error.code == .proofRefused {
        // For its seal, or for what a signature will be refused for as well.
        lost(session)
      }
    }
    return try await verifier.commit(Commitment(challenge, roots: roots, signedBy: .device(key)))
  }

  /// The head's verdict on an answer. Throws what the head throws.
  func submit(_ challenge: Challenge, _ answer: Answer) async throws -> Verdict {
    if let session = session(for: challenge) {
      let verdict = try await verifier.submit(
        Proof(challenge, answer, signedBy: .session(session)))
      guard [.sessionUnknown, .notSealed].contains(verdict.refusal) else {
        logger.debug("the head judged an answer that is sealed by a session")
        return verdict
      }
      lost(session)
    }
    return try await verifier.submit(Proof(challenge, answer, signedBy: .device(key)))
  }

  /// Nobody waits for a session any more.
  func end() {
    if case .opening(_, let task) = state { task.cancel() }
    state = .ended
  }

  /// True while a session is there to seal by.
  var hasSession: Bool { if case .open = state { true } else { false } }

  private func session(for challenge: Challenge) -> ProofSession? {
    if case .open(let session) = state, session.serves(challenge) { session } else { nil }
  }

  /// The head does not know a session: the next challenge begins another.
  private func lost(_ session: ProofSession) {
    guard case .open(let present) = state, present.isSame(as: session) else { return }
    state = .none
    logger.debug("the head does not know this device's session; what it refused is signed instead")
  }
}
