internal import IorunContract
internal import IorunCore
internal import IorunRuntime

/// A node's agent as the head calls it over the mesh.
struct RemoteAgent: AgentService {
  /// Preparing may mean fetching gigabytes; a node that dies meanwhile is noticed by its silence.
  static let preparationLimit = Duration.seconds(3600)

  let agent: NodeAgent

  func prepare(_ grant: LeaseGrant, caller: PeerID) async throws -> LeasePrepared {
    try await MeshActorSystem.$callTimeout.withValue(Self.preparationLimit) {
      try await agent.prepare(grant)
    }
  }

  func start(_ lease: LeaseID, epoch: Int64, gang: GangStart, caller: PeerID) async throws {
    try await agent.start(lease, epoch: epoch, gang: gang)
  }

  func stop(_ lease: LeaseID, cause: ExitCause, caller: PeerID) async throws {
    try await agent.stop(lease, cause: cause)
  }

  func forget(_ lease: LeaseID, caller: PeerID) async throws { try await agent.forget(lease) }

  func admit(_ pass: ClientPass, caller: PeerID) async throws {
    // A person waits for it.
    try await MeshActorSystem.$callTimeout.withValue(.seconds(15)) { try await agent.admit(pass) }
  }

  func reaches(_ address: String, milliseconds: Int, caller: PeerID) async throws -> Bool {
    try await MeshActorSystem.$callTimeout.withValue(.milliseconds(milliseconds) + .seconds(2)) {
      try await agent.reaches(address, milliseconds: milliseconds)
    }
  }
}
