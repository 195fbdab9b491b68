internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import Synchronization

/// The identities of the rank processes of this node: made with a lease, admitted to the agent's
/// socket, allowed to speak to their gang, and worthless when the lease is over.
final class ExecutorDirectory: ExecutorService {
  private struct Executor {
    let key: CurveKey
    var members: [PeerID] = []
  }

  private struct State {
    var executors: [LeaseID: Executor] = [:]
    var endpoint: ZeroMQEndpoint?
  }

  private let state = Mutex(State())
  private let agent: CurveKey

  init(agent: CurveKey) { self.agent = agent }

  /// Completes the pair: the endpoint asks this directory whom to admit, and is told whom to relay.
  func attach(_ endpoint: ZeroMQEndpoint) { state.withLock { $0.endpoint = endpoint } }

  /// The rule of the agent's socket.
  func admits(_ publicKey: [UInt8]) -> PeerID? {
    let peer = CurveKey.peer(of: publicKey)
    return state.withLock { state in
      state.executors.values.contains { $0.key.peer == peer } ? peer : nil
    }
  }

  /// Makes an identity for a lease and the variables through which the process finds it.
  func acquire(_ lease: LeaseID) throws -> (PeerID, [String: String]) {
    let key = try CurveKey()
    let address = state.withLock { state in
      state.executors[lease] = Executor(key: key)
      return state.endpoint?.addresses.first ?? ""
    }
    updateRelays()
    return (
      key.peer,
      [
        ExecutorEnvironment.agentAddress: address,
        ExecutorEnvironment.agentKey: Base32.encode(agent.publicKey),
        ExecutorEnvironment.secret: Base32.encode(key.exportSecret()),
      ]
    )
  }

  /// Makes an identity worthless.
  func release(_ lease: LeaseID) {
    let (gone, endpoint) = state.withLock { state in
      (state.executors.removeValue(forKey: lease), state.endpoint)
    }
    if let gone { endpoint?.forget(gone.key.peer) }
    updateRelays()
  }

  /// The gang is complete: its members may speak to each other.
  func setMembers(_ members: [PeerID], of lease: LeaseID) {
    state.withLock { $0.executors[lease]?.members = members }
    updateRelays()
  }

  func gang(caller: PeerID) async throws -> GangView {
    let found = state.withLock { state in
      state.executors.first { $0.value.key.peer == caller }
    }
    guard let found, !found.value.members.isEmpty else {
      throw IorunError(
        .notAllowed, "only a running rank of this node may ask for its gang",
        remedy: "Call it from a program that `iorun submit` started")
    }
    return GangView(lease: found.key, members: found.value.members)
  }

  private func updateRelays() {
    let (executors, endpoint) = state.withLock { ($0.executors, $0.endpoint) }
    var routes: [PeerID: RelayTable.Route] = [:]
    var members: [PeerID: String] = [:]
    for (lease, executor) in executors {
      let group = "\(lease.job)/\(lease.attempt)"
      routes[executor.key.peer] = RelayTable.Route(adjacent: executor.key.peer, group: group)
      for member in executor.members { members[member] = group }
    }
    endpoint?.setRelays(RelayTable(routes: routes, remoteMembers: members))
  }
}
