internal import IorunCore
internal import IorunWire

/// The cluster's nodes as the head told last, for decisions that cannot wait for it. A pure value.
struct NodeCache: Sendable {
  private(set) var nodes: [ClusterNode] = []
  private var lost: Set<NodeID> = []

  /// The head's list.
  mutating func take(_ nodes: [ClusterNode]) {
    self.nodes = nodes
    for node in nodes where node.alive { lost.remove(node.node) }
  }

  /// The head has said that a node is gone.
  mutating func lose(_ node: NodeID) {
    lost.insert(node)
    if let index = nodes.firstIndex(where: { $0.node == node }) { nodes[index].alive = false }
  }

  /// True for a node that the head has given up.
  func isLost(_ node: NodeID) -> Bool { lost.contains(node) }

  /// True where the head has named that node.
  func knows(_ node: NodeID) -> Bool { nodes.contains { $0.node == node } }

  /// True where that node has room for the demand now.
  func hasRoom(_ node: NodeID, for demand: RuntimeDemand) -> Bool {
    nodes.contains { $0.node == node && $0.alive && $0.available.covers(demand.resources) }
  }

  /// True where some other node could take the demand, were it idle.
  func anotherCouldTake(_ demand: RuntimeDemand, than node: NodeID) -> Bool {
    nodes.contains { $0.node != node && $0.alive && $0.resources.covers(demand.resources) }
  }

  /// True where some other node has room for the demand now.
  func anotherHasRoom(for demand: RuntimeDemand, than node: NodeID) -> Bool {
    nodes.contains { $0.node != node && $0.alive && $0.available.covers(demand.resources) }
  }
}

/// Demands by the JSON that asked for them. Bounded: what is new beyond that empties it.
struct DemandCache {
  private var demands: [[UInt8]: RuntimeDemand] = [:]
  private static let limit = 512

  /// The demand of a request.
  mutating func demand(_ message: LocalMessage) throws -> RuntimeDemand {
    let key = [UInt8](message.json)
    if let known = demands[key] { return known }
    let demand = try message.decode(RuntimeDemand.self)
    if demands.count >= Self.limit { demands = [:] }
    if key.count <= 4096 { demands[key] = demand }
    return demand
  }
}

/// What drivers and workers report of their tasks: the newest state of the newest tasks. Bounded.
struct TaskReports {
  /// One task.
  struct Item {
    var name: String
    var state: String
    var attempt: Int
    var seconds: Double
    var startedAt: Double?
    var worker: String
    var errorType: String
    /// The id of the task that submitted it, empty where the reporter did not say.
    var parent = ""
    /// The actor whose method it calls, empty for a plain task.
    var actor = ""
  }

  private static let limit = 20_000
  private(set) var items: [String: Item] = [:]
  private var byAge: [String] = []

  /// Takes a report.
  mutating func take(_ id: String, _ item: Item) {
    var item = item
    let known = items[id]
    item.startedAt = item.state == "RUNNING" ? item.seconds : known?.startedAt
    // One that runs for long is told of again and again; the first word of it was the nearest.
    if item.state == "RUNNING", let known, known.state == "RUNNING", known.attempt == item.attempt {
      item.startedAt = min(item.seconds, known.startedAt ?? item.seconds)
    }
    if items.updateValue(item, forKey: id) == nil { byAge.append(id) }
    guard byAge.count > Self.limit else { return }
    for id in byAge.prefix(Self.limit / 4) { items[id] = nil }
    byAge.removeFirst(Self.limit / 4)
  }
}
