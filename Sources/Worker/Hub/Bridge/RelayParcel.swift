import IorunCore

/// Peer frames on their way from a process of one node to a process of another.
struct RelayParcel: Hashable, Sendable {
  /// Who sent it; its hub vouches for that.
  var source: WorkerID
  /// Whom it is for.
  var destination: WorkerID
  /// Whole peer frames; never looked into.
  var frames: [UInt8]
}
