internal import IorunContract
internal import IorunCore
internal import IorunMesh

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
  /// When it registered last, by the head's clock.
  var registeredAt = Duration.zero
  /// The part of its promised time that it served, from 0 to 1.
  var reliability = 1.0
  /// What the records of its proofs say; `nil` where the head does not ask for any.
  var mark: DeviceMark?
  /// True where jobs that want verified nodes must not be placed on it.
  var isUnproved = false
  /// What the records of its GPUs' proofs say, by UUID.
  var gpuMarks: [String: DeviceMark] = [:]
  /// True where jobs that want verified GPUs must not get any of its.
  var hasUnprovedGPUs = false

  /// True where it is not verified and the head asks for proofs, whatever follows from that.
  var isNotVerified: Bool { mark.map { $0.status != .verified } ?? false }
  /// The same of any of its GPUs.
  var hasGPUsNotVerified: Bool {
    mark != nil && facts.gpus.contains { gpuMarks[$0.uuid]?.status != .verified }
  }

  /// True where some jobs must not be placed on it for want of proofs.
  var lacksProofs: Bool { isUnproved || hasUnprovedGPUs }

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

extension NodeState {
  /// The state of a peer as a node's.
  init(_ state: PeerLiveness.State) {
    switch state {
    case .alive: self = .alive
    case .suspect: self = .suspect
    case .unreachable: self = .unreachable
    case .dead: self = .dead
    }
  }

  /// True where a heartbeat is enough to make it alive: nothing was given up yet.
  var mayComeBack: Bool { self == .alive || self == .suspect || self == .unreachable }
}
