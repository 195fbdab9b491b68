public import IorunContract
internal import IorunCore

/// A node in JSON: each entry of `NodesView`.
public struct NodeView: Encodable, Sendable {
  let id: String
  let name: String
  let state: String
  let reason: String?
  let isDrained: Bool
  let proof: MarkView?
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
  let jitterMilliseconds: Double?
  let lossPercent: Double?
  let sendMegabitsPerSecond: Double?
  let receiveMegabitsPerSecond: Double?
  let dataPlane: DataPlaneView?
  let sandbox: String?
  let isolation: IsolationView?
  let supplier: String?
  let reliability: Double?
  let dollarsPerHour: Double?
  let place: PlaceView?
  let labels: [String: String]?

  /// Where the node says that it is, and why that is not believed, if so.
  struct PlaceView: Encodable, Sendable {
    let country: String?
    let city: String?
    let latitudeDegrees: Double?
    let longitudeDegrees: Double?
    let doubt: String?
  }

  /// What the node can do for the networks of gangs.
  struct DataPlaneView: Encodable, Sendable {
    let backend: String?
    let reason: String?
    let localPrefixes: [String]
    let leadsOut: Bool
  }

  /// One accelerator.
  struct GPUView: Encodable, Sendable {
    let index: Int
    let model: String
    let uuid: String
    let memoryBytes: UInt64
    let proof: MarkView?
  }

  /// Shows a node.
  public init(_ node: NodeStatus) {
    id = node.id.description
    name = node.facts.name
    state = node.state.rawValue
    reason = node.reason
    isDrained = node.isDrained
    proof = node.mark.map(MarkView.init)
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
      GPUView(
        index: index, model: gpu.model, uuid: gpu.uuid, memoryBytes: gpu.memory.rawValue,
        proof: node.gpuMarks.map { MarkView($0[gpu.uuid] ?? DeviceMark()) })
    }
    leases = node.leases
    lastSeenAtUnixSeconds = node.lastSeenAt
    roundTripMilliseconds = node.roundTripMilliseconds
    jitterMilliseconds = node.jitterMilliseconds
    lossPercent = node.lostPart.map { $0 * 100 }
    supplier = node.supplier
    reliability = node.reliability
    let claims = node.facts.claims
    dollarsPerHour = claims?.microdollarsPerHour.map { Double($0) / 1e6 }
    labels = claims?.labels
    place = claims.map {
      PlaceView(
        country: $0.country, city: $0.city, latitudeDegrees: $0.latitude,
        longitudeDegrees: $0.longitude, doubt: node.placeDoubt)
    }
    sendMegabitsPerSecond = node.sendMegabitsPerSecond
    receiveMegabitsPerSecond = node.receiveMegabitsPerSecond
    dataPlane = node.facts.dataPlane.map { plane in
      DataPlaneView(
        backend: plane.backend, reason: plane.reason,
        localPrefixes: plane.localPrefixes.map(\.description), leadsOut: plane.leadsOut ?? false)
    }
    sandbox = node.facts.sandbox
    isolation = node.facts.isolation.map(IsolationView.init)
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
