internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import IorunRuntime

/// The head as a prover hands its answers in.
protocol VerifierLink: Sendable {
  /// Begins a session; the verifier's half of its key.
  func openSession(_ hello: ProofSession.Hello) async throws -> Digest
  /// Which pieces of a commitment to open.
  func commit(_ commitment: Commitment) async throws -> OpeningRequest
  /// The verdict on a proof.
  func submit(_ proof: Proof) async throws -> Verdict
  /// The work on a challenge was given up for a job.
  func gaveWay(_ challenge: [UInt8]) async throws
}

/// The same over the mesh.
struct RemoteVerifier: VerifierLink {
  let proofs: Proofs
  /// An answer that takes longer is too late for any deadline.
  private static let limit = Duration.seconds(20)

  func openSession(_ hello: ProofSession.Hello) async throws -> Digest {
    try await bounded { try await proofs.openSession(hello) }
  }

  func commit(_ commitment: Commitment) async throws -> OpeningRequest {
    try await bounded { try await proofs.commit(commitment) }
  }

  func submit(_ proof: Proof) async throws -> Verdict {
    try await bounded { try await proofs.submit(proof) }
  }

  func gaveWay(_ challenge: [UInt8]) async throws {
    try await bounded { try await proofs.gaveWay(challenge) }
  }

  private func bounded<Result>(_ call: () async throws -> Result) async throws -> Result {
    try await MeshActorSystem.$callTimeout.withValue(Self.limit, operation: call)
  }
}
