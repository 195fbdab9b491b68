public import IorunCore
public import IorunWire

/// The cluster as a program sees it: its nodes, what they offer, who has a name, and where it runs itself.
extension Cluster {
  /// The nodes.
  public var nodes: [ClusterNode] { get async throws { try await process.nodes() } }

  /// What all nodes together offer, by name; memory in bytes.
  public var resources: [String: Double] { get async throws { try await amounts().total.amounts } }

  /// What of it is free.
  public var availableResources: [String: Double] {
    get async throws { try await amounts().available.amounts }
  }

  /// The actors that have a name, of this program's namespace or of all.
  public func namedActors(inAllNamespaces: Bool = false) async throws -> [ActorName] {
    try await process.hub.request(.actorNames, NameWish(allNamespaces: inAllNamespaces))
      .decode(Names.self).actors
  }

  /// Where this program runs.
  public var context: RuntimeContext {
    let welcome = process.welcome
    return RuntimeContext(
      node: process.address.node, nodeName: welcome.nodeName ?? "", worker: process.worker,
      job: welcome.job, namespace: process.namespace, isDriver: process.role == "driver",
      headAddress: welcome.head ?? "", labels: welcome.labels ?? [:],
      gpus: process.gpus.indices, task: TaskContext.current)
  }

  private func amounts() async throws -> Amounts {
    try await process.hub.request(.resources, Nothing()).decode(Amounts.self)
  }

  private struct Amounts: Decodable { let total: ResourceAmounts, available: ResourceAmounts }
  private struct NameWish: Encodable { let allNamespaces: Bool }
  private struct Names: Decodable { let actors: [ActorName] }
  private struct Nothing: Encodable {}
}

/// An actor's name, and the namespace in which it has it.
public struct ActorName: Hashable, Codable, Sendable {
  /// The name.
  public let name: String
  /// The namespace.
  public let namespace: String
}

/// Where a program runs: see `Cluster.context`.
public struct RuntimeContext: Sendable {
  /// The node.
  public let node: NodeID
  /// The node's name for people.
  public let nodeName: String
  /// The process.
  public let worker: WorkerID
  /// The runtime job.
  public let job: String
  /// The namespace of its actors' names.
  public let namespace: String
  /// True in the driver.
  public let isDriver: Bool
  /// Where the head listens: host:port.
  public let headAddress: String
  /// The node's labels.
  public let labels: [String: String]
  /// The GPUs that what runs here was given, by the node's index.
  public let gpus: [Int]
  /// The task that runs here, if one does.
  public let task: TaskContext?
}
