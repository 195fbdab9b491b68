public import Distributed
public import IorunCore
public import IorunPoW
public import IorunRuntime
public import IorunWire

/// The verifier: challenges and results, for nodes, and what came of them, for everybody. See
/// `ProofService`.
public distributed actor Proofs: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "proofs"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024
  /// An answer is timed by its arrival: never behind bulk bytes.
  public static let trafficClass = TrafficClass.control

  private let service: any ProofService

  /// Serves `service` on the mesh.
  public init(_ service: any ProofService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// The challenge that is open for the caller's device.
  public distributed func challenge() async throws -> Challenge? {
    try await service.challenge(caller: caller)
  }

  /// Begins a session in which the caller's device seals by codes.
  public distributed func openSession(_ hello: ProofSession.Hello) async throws -> Digest {
    try await service.openSession(hello, caller: caller)
  }

  /// The pieces to open for a commitment.
  public distributed func commit(_ commitment: Commitment) async throws -> OpeningRequest {
    try await service.commit(commitment, caller: caller)
  }

  /// The verdict on a proof.
  public distributed func submit(_ proof: Proof) async throws -> Verdict {
    try await service.submit(proof, caller: caller)
  }

  /// The work on a challenge was given up for a job.
  public distributed func gaveWay(_ challenge: [UInt8]) async throws {
    try await service.gaveWay(challenge, caller: caller)
  }

  /// Proofs at a glance.
  public distributed func status() async throws -> ProofStatus {
    try await service.status(caller: caller)
  }

  /// What is on record of a device.
  public distributed func history(_ reference: String, limit: Int) async throws -> DeviceHistory {
    try await service.history(reference, limit: limit, caller: caller)
  }
}
