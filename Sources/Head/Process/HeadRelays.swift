internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import Synchronization

/// Between whom the head relays: the executors of each gang, the nodes that take part in runtime
/// jobs, among each other, and a client's process with the node whose rank it reaches into.
final class HeadRelays: Sendable {
  /// The group of all nodes; no gang's group is called so, because theirs hold a slash.
  static let nodesGroup = "nodes"

  private struct State {
    var executors: [ExecutorRoute] = []
    var nodes: Set<PeerID> = []
    var pairs: Set<RelayTable.Pair> = []

    var table: RelayTable {
      var routes: [PeerID: RelayTable.Route] = [:]
      for node in nodes {
        routes[node] = RelayTable.Route(adjacent: node, group: HeadRelays.nodesGroup)
      }
      for route in executors {
        routes[route.executor] = RelayTable.Route(
          adjacent: route.node, group: "\(route.lease.job)/\(route.lease.attempt)")
      }
      return RelayTable(routes: routes, pairs: pairs)
    }
  }

  private let state = Mutex(State())
  private let apply: @Sendable (RelayTable) -> Void

  /// - Parameter apply: gives a table to the mesh; called under a lock, so that the last one wins.
  init(apply: @escaping @Sendable (RelayTable) -> Void) { self.apply = apply }

  /// Replaces the executors.
  func set(executors: [ExecutorRoute]) {
    state.withLock { state in
      state.executors = executors
      apply(state.table)
    }
  }

  /// Replaces the clients' processes that reach into ranks, each with its node.
  func set(attached: Set<AttachmentBook.Way>) {
    state.withLock { state in
      state.pairs = Set(attached.map { RelayTable.Pair($0.client, $0.node) })
      apply(state.table)
    }
  }

  /// Replaces the nodes.
  func set(nodes: Set<PeerID>) {
    state.withLock { state in
      guard state.nodes != nodes else { return }
      state.nodes = nodes
      apply(state.table)
    }
  }
}
