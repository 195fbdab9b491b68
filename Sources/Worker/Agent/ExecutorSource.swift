public import IorunContract
public import IorunCore

/// Gives each rank's process an identity of its own in the mesh, and takes it back.
public struct ExecutorSource: Sendable {
  /// Makes an identity: its peer id, and the variables through which the process finds it.
  public var acquire: @Sendable (LeaseID) async throws -> (PeerID, [String: String])
  /// Makes it useless. Called once for each `acquire` that returned.
  public var release: @Sendable (LeaseID) async -> Void

  /// Makes a source from its two calls.
  public init(
    acquire: @escaping @Sendable (LeaseID) async throws -> (PeerID, [String: String]),
    release: @escaping @Sendable (LeaseID) async -> Void
  ) {
    self.acquire = acquire
    self.release = release
  }
}
