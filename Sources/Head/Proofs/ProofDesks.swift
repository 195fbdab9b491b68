internal import IorunCore
internal import IorunPoW
internal import Synchronization

/// Checks commitments and proofs on threads that may be busy for milliseconds: several desks side by
/// side, each device always at the same one.
final class ProofDesks: Sendable {
  private final class Desk: Sendable {
    let desk: Mutex<ProofDesk>
    init(_ verifier: Verifier) { desk = Mutex(ProofDesk(verifier)) }
  }

  private let desks: [Desk]

  init(_ issuer: ChallengeIssuer, count: Int = 16) {
    desks = (0..<count).map { _ in Desk(Verifier(issuer)) }
  }

  /// Throws a `Refusal`, `overloaded`, and faults of the verifier.
  func commit(
    _ commitment: Commitment, epoch: Int64, nowMilliseconds: Int64
  ) async throws -> OpeningRequest {
    let desk = desk(of: commitment.challenge.device)
    return try await Blocking.run {
      try desk.desk.withLock {
        try $0.commit(commitment, from: .anybody, epoch: epoch, nowMilliseconds: nowMilliseconds)
      }
    }
  }

  /// Throws `overloaded`, and faults of the verifier.
  func submit(_ proof: Proof, epoch: Int64, nowMilliseconds: Int64) async throws -> Verdict {
    let desk = desk(of: proof.challenge.device)
    return try await Blocking.run {
      try desk.desk.withLock {
        try $0.submit(proof, from: .anybody, epoch: epoch, nowMilliseconds: nowMilliseconds)
      }
    }
  }

  /// Forgets what no answer can belong to any more.
  func forget(before epoch: Int64) {
    for desk in desks { desk.desk.withLock { $0.forget(before: epoch) } }
  }

  private func desk(of device: DeviceID) -> Desk { desks[Int(device.bytes[0]) % desks.count] }
}
