public import IorunContract
internal import IorunCore

/// A node in JSON: each entry of `NodesView`.
public struct NodeView: Encodable, Sendable {
  let id: String
  let name: String
  let state: String
  let reason: String?
  let isDrained: Bool
  let ownerHold: String?
  let hostname: String
  let address: String
  let interface: String
  let cpuModel: String
  let system: String
  let version: String
  let capacity: ResourceView
  let free: ResourceView
  let gpus: [GPUView]
  let leases: Int
  let lastSeenAtUnixSeconds: Double
  let roundTripMilliseconds: Double?
  let dataPlane: DataPlaneView?

  /// What the node can do for the networks of gangs.
  struct DataPlaneView: Encodable, Sendable {
    let backend: String?
    let reason: String?
    let localPrefixes: [String]
  }

  /// One accelerator.
  struct GPUView: Encodable, Sendable {
    let index: Int
    let model: String
    let uuid: String
    let memoryBytes: UInt64
  }

  /// Shows a node.
  public init(_ node: NodeStatus) {
    id = node.id.description
    name = node.facts.name
    state = node.state.rawValue
    reason = node.reason
    isDrained = node.isDrained
    ownerHold = node.ownerHold
    hostname = node.facts.hostname
    address = node.facts.address
    interface = node.facts.interface
    cpuModel = node.facts.cpuModel
    system = node.facts.system
    version = node.facts.version
    capacity = ResourceView(node.facts.capacity)
    free = ResourceView(node.free)
    gpus = node.facts.gpus.enumerated().map { index, gpu in
      GPUView(index: index, model: gpu.model, uuid: gpu.uuid, memoryBytes: gpu.memory.rawValue)
    }
    leases = node.leases
    lastSeenAtUnixSeconds = node.lastSeenAt
    roundTripMilliseconds = node.roundTripMilliseconds
    dataPlane = node.facts.dataPlane.map { plane in
      DataPlaneView(
        backend: plane.backend, reason: plane.reason,
        localPrefixes: plane.localPrefixes.map(\.description))
    }
  }
}

/// Several nodes in JSON: `nodes`.
public struct NodesView: Encodable, Sendable {
  let nodes: [NodeView]
  let paths: [NodePathsView]?

  /// Shows nodes, and their ways where these are known.
  public init(_ nodes: [NodeStatus], paths: [NodePaths]? = nil) {
    self.nodes = nodes.map(NodeView.init)
    self.paths = paths?.map(NodePathsView.init)
  }
}
