internal import IorunContract
internal import IorunCore

/// Stands before the agent on the mesh and tells the executor directory what a start brings with it:
/// who the gang's members are.
struct AgentDesk: AgentService {
  let agent: NodeAgentCore
  let head: PeerID
  let executors: ExecutorDirectory

  func prepare(_ grant: LeaseGrant, caller: PeerID) async throws -> LeasePrepared {
    try await agent.prepare(grant, caller: caller)
  }

  func start(_ lease: LeaseID, epoch: Int64, gang: GangStart, caller: PeerID) async throws {
    // Ranks reach this actor too; only the head may say who belongs to a gang.
    guard caller == head else {
      throw IorunError(.notAllowed, "only the node's head may start a rank")
    }
    // First, so that the process finds its gang at its first question.
    executors.setMembers(gang.members, of: lease)
    try await agent.start(lease, epoch: epoch, gang: gang, caller: caller)
  }

  func stop(_ lease: LeaseID, cause: ExitCause, caller: PeerID) async throws {
    try await agent.stop(lease, cause: cause, caller: caller)
  }

  func forget(_ lease: LeaseID, caller: PeerID) async throws {
    try await agent.forget(lease, caller: caller)
  }

  func admit(_ pass: ClientPass, caller: PeerID) async throws {
    try await agent.admit(pass, caller: caller)
  }

  func reaches(_ address: String, milliseconds: Int, caller: PeerID) async throws -> Bool {
    try await agent.reaches(address, milliseconds: milliseconds, caller: caller)
  }
}
