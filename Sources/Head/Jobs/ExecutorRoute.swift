public import IorunContract
public import IorunCore

/// A rank's process as a peer of the mesh: which gang it belongs to, and behind which node it lives.
/// Only executors of the same attempt of the same job may reach each other.
public struct ExecutorRoute: Hashable, Sendable {
  /// The process's mesh identity.
  public var executor: PeerID
  /// The lease under which it runs: its job, attempt and rank.
  public var lease: LeaseID
  /// The node that runs it.
  public var node: PeerID

  /// Describes a route.
  public init(executor: PeerID, lease: LeaseID, node: PeerID) {
    self.executor = executor
    self.lease = lease
    self.node = node
  }
}
