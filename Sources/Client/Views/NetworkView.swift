public import IorunContract
internal import IorunCore

/// The network at a glance in JSON: `status`.
public struct NetworkView: Encodable, Sendable {
  let head: String
  let version: String
  let startedAtUnixSeconds: Double
  let nodesByState: [String: Int]
  let capacity: ResourceView
  let free: ResourceView
  let jobsByState: [String: Int]

  /// Shows a network.
  public init(_ network: NetworkStatus) {
    head = network.head.description
    version = network.version
    startedAtUnixSeconds = network.startedAt
    nodesByState = network.nodes
    capacity = ResourceView(network.capacity)
    free = ResourceView(network.free)
    jobsByState = network.jobs
  }
}
