internal import IorunContract
internal import IorunCore

/// One node at one moment, as the directory sees it.
struct NodeSnapshot: Sendable, Hashable {
  var id: PeerID
  var facts: NodeFacts
  var state: NodeState
  /// True while it still holds leases that it was told to stop: its room is not free yet.
  var isDraining: Bool
  /// True where an operator wants it to get no new work.
  var isDrained: Bool
  /// Seconds since 1970 (UTC).
  var lastSeenAt: Double
  var roundTripMilliseconds: Double?
  /// True where its ranks count as lost but may still run: its fence has not passed yet, or it is
  /// back and is stopping them.
  var mayStillRun: Bool
  /// Why it is in its state; `nil` while it is alive.
  var reason: String?
}
