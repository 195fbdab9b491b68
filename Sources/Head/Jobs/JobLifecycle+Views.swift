internal import IorunContract
internal import IorunCore

/// What follows from where a job stands.
extension JobLifecycle {
  /// With how many ranks it may run.
  var sizes: ClosedRange<Int> {
    let whole = record.spec.gang.ranks
    guard record.spec.gang.terms?.onLoss == .shrink, record.course.repairs > 0 else {
      return whole...whole
    }
    return min(whole, max(1, record.spec.gang.terms?.leastRanks ?? 1))...whole
  }

  var startByWords: String {
    let limit = record.spec.startBySeconds.map { "\(Int($0.rounded())) s" } ?? "that time"
    let last = record.reason.map { ": \($0)" } ?? ""
    return "it was not placed by its start_by of \(limit)\(last)"
  }

  /// What the job holds of nodes: its ranks, the places of a gang that is being mended, and spares.
  var heldSeats: [JobCourse.Seat] {
    let isMending: Bool
    if case .lost = record.ending { isMending = true } else { isMending = false }
    let held = ranks.filter { rank in
      !rank.isEnded || (isMending && record.state == .stopping && !rank.wasLost)
    }
    return held.map { JobCourse.Seat(rank: $0.rank, node: $0.node, gpuIndices: $0.gpuIndices) }
      + record.course.seats
  }

  /// True where nothing of the attempt ran and a node was to blame.
  var isUnstartedThroughNoFault: Bool {
    record.startedAt == nil && ranks.contains { record.lostNodes.contains($0.node) }
  }

  /// The rank that holds `lease` in the latest attempt.
  func current(_ lease: LeaseID) -> Int? {
    guard lease.job == record.id, lease.attempt == record.attempt,
      ranks.indices.contains(lease.rank)
    else { return nil }
    return lease.rank
  }

  /// True where a grant failed because of its node or the way to it, not because of the job.
  static func isNoFault(of error: IorunError) -> Bool {
    [
      .unreachable, .timedOut, .peerLost, .wrongState, .overloaded, .notAllowed, .networkSetup,
      .sandboxUnavailable, .sandboxFailed, .scratchFailed, .gpuBusy, .gpuFault,
    ].contains(error.code)
  }
}
