internal import IorunCore
internal import IorunPoW
internal import Logging

/// Calls a verifier again where it could not be reached: a short gap must not cost a round.
struct PatientVerifier: VerifierLink {
  let link: any VerifierLink

  /// Tries to reach the head with an answer; the deadline is the head's affair.
  private static let tries = 5

  /// Tried once: without a session a device signs.
  func openSession(_ hello: ProofSession.Hello) async throws -> Digest {
    try await link.openSession(hello)
  }

  func commit(_ commitment: Commitment) async throws -> OpeningRequest {
    try await Self.reach { try await link.commit(commitment) }
  }

  func submit(_ proof: Proof) async throws -> Verdict {
    try await Self.reach { try await link.submit(proof) }
  }

  func gaveWay(_ challenge: [UInt8]) async throws {
    try await Self.reach { try await link.gaveWay(challenge) }
  }

  /// The same where nobody can do anything about it that the head does not hear it.
  func tellGaveWay(_ challenge: [UInt8], _ logger: Logger) async {
    do {
      try await gaveWay(challenge)
    } catch {
      logger.info("the head did not hear that a proof gave way: \(error)")
    }
  }

  private static func reach<Value: Sendable>(
    _ call: @Sendable () async throws -> Value
  ) async throws -> Value {
    for pause in 0..<tries {
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
}
