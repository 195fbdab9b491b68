public import IorunCore

/// The network at a glance, as `iorun status` shows it.
public struct NetworkStatus: Hashable, Codable, Sendable {
  /// The head's peer id.
  public var head: PeerID
  /// The head's release.
  public var version: String
  /// Seconds since 1970 (UTC) when the head's process started.
  public var startedAt: Double
  /// How many nodes are in each state.
  public var nodes: [String: Int]
  /// What all alive nodes offer.
  public var capacity: ResourceSet
  /// What of it is not leased.
  public var free: ResourceSet
  /// How many of the caller's jobs are in each state.
  public var jobs: [String: Int]

  /// Describes a network.
  public init(
    head: PeerID, version: String, startedAt: Double, nodes: [String: Int], capacity: ResourceSet,
    free: ResourceSet, jobs: [String: Int]
  ) {
    self.head = head
    self.version = version
    self.startedAt = startedAt
    self.nodes = nodes
    self.capacity = capacity
    self.free = free
    self.jobs = jobs
  }
}
