internal import IorunContract
internal import IorunCore
internal import IorunRuntime
internal import IorunWire
internal import Logging

/// Whom the hub calls: the head, and the hubs of other nodes.
struct HubRemotes: Sendable {
  let cluster: ClusterControl
  private let system: MeshActorSystem

  init(cluster: ClusterControl, system: MeshActorSystem) {
    self.cluster = cluster
    self.system = system
  }

  /// Another node's hub.
  ///
  /// - Throws: `actorNotFound` for this node itself.
  func bridge(_ node: NodeID) throws -> NodeBridge {
    try NodeBridge.at(node.peer, using: system)
  }

  /// Another node's objects.
  ///
  /// - Throws: `actorNotFound` for this node itself.
  func objects(_ node: NodeID) throws -> NodeObjects {
    try NodeObjects.at(node.peer, using: system)
  }
}

extension Hub {
  /// Longer than anything that waits for room: whoever asked gives up by itself.
  static let patience = Duration.seconds(30 * 24 * 3600)

  /// Calls the head in a task; `done` runs on this thread with what came of it.
  @discardableResult
  func callHead<Answer: Sendable>(
    within limit: Duration = .seconds(60),
    _ call: @escaping @Sendable (ClusterControl) async throws -> Answer,
    done: @escaping @Sendable (Hub, Result<Answer, any Error>) -> Void
  ) -> Task<Void, Never> {
    let (mailbox, cluster) = (mailbox, remotes.cluster)
    return Task {
      let result: Result<Answer, any Error>
      do {
        result = .success(
          try await MeshActorSystem.$callTimeout.withValue(limit) { try await call(cluster) })
      } catch {
        result = .failure(error)
      }
      mailbox.post { done($0, result) }
    }
  }

  /// Calls another node's hub in a task.
  @discardableResult
  func callNode<Answer: Sendable>(
    _ node: NodeID, within limit: Duration = .seconds(60),
    _ call: @escaping @Sendable (NodeBridge) async throws -> Answer,
    done: @escaping @Sendable (Hub, Result<Answer, any Error>) -> Void
  ) -> Task<Void, Never> {
    let (mailbox, remotes) = (mailbox, remotes)
    return Task {
      let result: Result<Answer, any Error>
      do {
        result = .success(
          try await MeshActorSystem.$callTimeout.withValue(limit) {
            try await call(remotes.bridge(node))
          })
      } catch {
        result = .failure(error)
      }
      mailbox.post { done($0, result) }
    }
  }

  /// Asks the head on behalf of a process, and answers it with what `answer` makes of the head's.
  func askHead<Answer: Sendable>(
    for ask: HubRequest, within limit: Duration = .seconds(60),
    _ call: @escaping @Sendable (ClusterControl) async throws -> Answer,
    answer: @escaping @Sendable (Hub, HubRequest.Ticket, Answer) -> Void
  ) {
    let ticket = ask.ticket
    callHead(within: limit, call) { hub, result in
      switch result {
      case .success(let value): answer(hub, ticket, value)
      case .failure(let error): hub.respond(ticket.connection, ticket.number, error: error)
      }
    }
  }

  /// Tells somebody something; that it did not arrive is noted, and nothing waits for it.
  func noted(_ what: String) -> @Sendable (Hub, Result<Void, any Error>) -> Void {
    { hub, result in
      if case .failure(let error) = result { hub.logger.warning("\(what): \(error)") }
    }
  }
}
