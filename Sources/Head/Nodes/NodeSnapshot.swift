internal import IorunContract
internal import IorunCore

/// One node at one moment, as the directory sees it.
struct NodeSnapshot: Sendable, Hashable {
  var id: PeerID
  var facts: NodeFacts
  var state: NodeState
  /// True while it still holds leases that it was told to stop: its room is not free yet.
  var isDraining: Bool
  /// Seconds since 1970 (UTC).
  var lastSeenAt: Double
  var roundTripMilliseconds: Double?
  /// True where its ranks count as lost but may still run: its fence has not passed yet, or it is
  /// back and is stopping them.
  var mayStillRun: Bool
  /// Why its ranks count as lost, where they do.
  var lossReason: String?
  /// True where its runtime jobs count it as lost, which comes sooner than the loss of its ranks.
  var isLostForRuntime = false
}
