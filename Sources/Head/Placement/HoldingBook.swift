internal import IorunContract
internal import IorunCore

/// What all leases of one node hold together.
struct Holding: Sendable, Hashable {
  var resources = ResourceSet()
  var gpus: Set<Int> = []
  var leases = 0
}

/// What leases, and places that are kept for gangs, hold of nodes, kept job by job.
struct HoldingBook: Sendable {
  private struct Entry: Sendable {
    var seats: [JobCourse.Seat]
    var leases: [PeerID]
    var each: ResourceSet
  }

  private(set) var byNode: [PeerID: Holding] = [:]
  private var jobs: [JobID: Entry] = [:]

  /// A job is over.
  mutating func remove(_ job: JobID) -> Set<PeerID> { set([], leases: [], of: job, ResourceSet()) }

  subscript(node: PeerID) -> Holding { byNode[node] ?? Holding() }

  /// A job holds these places now, and no others.
  ///
  /// - Returns: the nodes of which something else is held than before.
  mutating func set(
    _ seats: [JobCourse.Seat], leases: [PeerID], of job: JobID, _ each: ResourceSet
  ) -> Set<PeerID> {
    let old = jobs[job] ?? Entry(seats: [], leases: [], each: each)
    let new = Entry(seats: seats, leases: leases, each: each)
    guard old.seats != seats || old.leases != leases || (old.each != each && !seats.isEmpty) else {
      return []
    }
    for seat in old.seats {
      byNode[seat.node, default: Holding()].resources = self[seat.node].resources - old.each
      byNode[seat.node]?.gpus.subtract(seat.gpuIndices)
    }
    for node in old.leases { byNode[node, default: Holding()].leases -= 1 }
    for seat in new.seats {
      byNode[seat.node, default: Holding()].resources = self[seat.node].resources + each
      byNode[seat.node]?.gpus.formUnion(seat.gpuIndices)
    }
    for node in new.leases { byNode[node, default: Holding()].leases += 1 }
    let touched = Set((old.seats + new.seats).map(\.node))
    for node in touched.union(old.leases) where byNode[node] == Holding() { byNode[node] = nil }
    jobs[job] = seats.isEmpty && leases.isEmpty ? nil : new
    return touched
  }
}

extension HoldingBook {
  /// A job holds what its lifecycle says.
  ///
  /// - Returns: the nodes of which something else is held than before.
  mutating func set(_ job: LiveJob) -> Set<PeerID> {
    set(
      job.lifecycle.heldSeats, leases: job.lifecycle.ranks.filter { !$0.isEnded }.map(\.node),
      of: job.lifecycle.record.id, job.lifecycle.record.spec.gang.resources)
  }
}
