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
  /// Why its owner lets it take no new work; `nil` where the owner does.
  var ownerHold: String?
  /// Seconds since 1970 (UTC).
  var lastSeenAt: Double
  var roundTripMilliseconds: Double?
  /// How long it has been silent.
  var silence: Duration
  /// True where it is back and is stopping ranks that count as lost.
  var isStopping: Bool
  /// Why it is in its state; `nil` while it is alive.
  var reason: String?

  /// True where a job's ranks count as lost here but may still run: their fence has not passed yet, or
  /// the node is back and is stopping them.
  func mayStillRun(_ spec: JobSpec, _ options: HeadOptions) -> Bool {
    isStopping || (state == .dead && silence < options.lossAfter(spec))
  }
}

extension HeadOptions {
  /// After how long a silence a node has surely stopped a job's ranks.
  func lossAfter(_ spec: JobSpec) -> Duration {
    let network = fenceAfter + fenceMargin
    guard let own = spec.fenceSeconds else { return network }
    return min(network, .seconds(own) + ownFenceMargin)
  }
}
