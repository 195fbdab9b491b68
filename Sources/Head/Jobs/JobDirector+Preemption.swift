internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import Logging

/// Taking back what opportunistic gangs run on: their tails, never their committed hour.
extension JobDirector {
  /// Stops gangs so that `request` finds its places, the cheapest that will do. True where its places
  /// are becoming free: what does is to be held for it.
  ///
  /// - Parameter isOwn: the gang is within its tenant's quota, so that it may take back what others
  ///   have borrowed, whatever their priority.
  func makeRoom(
    for record: JobRecord, of tenant: String, isOwn: Bool, _ round: inout PlacementRound
  ) -> Bool {
    let stopping = live.values.filter { job in
      // Places of a gang that is being mended stay its own.
      if case .lost = job.lifecycle.record.ending { return false }
      return job.lifecycle.record.state == .stopping
    }
    let candidates = candidates(for: record, of: tenant, isOwn: isOwn)
    guard !stopping.isEmpty || !candidates.isEmpty else { return false }
    let request = round.request(record, excluding: record.lostNodes)
    var coming = round.offers
    let rows = Dictionary(coming.enumerated().map { ($1.node, $0) }) { first, _ in first }
    for job in stopping {
      for seat in job.lifecycle.heldSeats {
        guard let row = rows[seat.node] else { continue }
        coming[row].release(job.lifecycle.record.spec.gang.resources, gpus: seat.gpuIndices)
      }
    }
    if !stopping.isEmpty, round.placer.fits(request, on: coming) { return true }
    guard !candidates.isEmpty else { return false }
    let search = PreemptionSearch(request, on: coming, by: round.placer)
    let found = search.cheapest(candidates.map(\.candidate))
    guard let found else { return false }
    for victim in found.victims {
      guard let chosen = candidates.first(where: { $0.candidate.id == victim }) else { continue }
      apply(.preempted(reason: chosen.reason), to: chosen.job)
    }
    logger.info(
      "gangs are stopped for a more urgent one",
      metadata: ["for": "\(record.id)", "gangs": "\(found.victims.count)"])
    return true
  }

  private typealias Victim = (job: JobID, candidate: PreemptionSearch.Candidate, reason: String)

  /// The gangs that may be stopped for `record`, with what that loses: the work of the attempt, as a
  /// part of the cluster's scarcest resource and in seconds, and a minute to start anew.
  private func candidates(for record: JobRecord, of tenant: String, isOwn: Bool) -> [Victim] {
    let elapsed = clock.elapsed()
    var victims: [Victim] = []
    for (number, id) in order.enumerated() {
      guard let job = live[id], job.lifecycle.record.state == .running,
        job.lifecycle.record.ending == nil, let ran = job.ages.sinceStarted(elapsed)
      else { continue }
      let other = job.lifecycle.record
      let owner = authoriser.peers.tenantName(of: other.owner)
      let isLessUrgent = other.spec.isPreemptible == true && other.priority < record.priority
      let isReclaimed =
        isOwn && other.course.isBorrowing
        && line.cohorts.mayReclaim(for: tenant, from: owner, held: line.held)
      guard isLessUrgent || isReclaimed, ran >= options.committedFor.inSeconds else { continue }
      let places = job.lifecycle.heldSeats.map {
        PreemptionSearch.Place(node: $0.node, gpuIndices: $0.gpuIndices)
      }
      let gpus = Double(other.spec.gang.resources.gpus * other.ranks)
      let cores = Double(other.spec.gang.resources.milliCPUs * other.ranks) / 1000
      let candidate = PreemptionSearch.Candidate(
        id: number, resources: other.spec.gang.resources, places: places,
        // A GPU weighs as much as the cores that usually stand beside it.
        cost: (ran + Self.restartSeconds) * (gpus * Self.coresPerGPU + cores))
      let words =
        isReclaimed && !isLessUrgent
        ? "the owner of what it ran on needs it"
        : "a job of priority \(record.priority) needs its places"
      victims.append(
        (id, candidate, "stopped after \(Int(ran / 60)) minutes: \(words); it is queued anew"))
    }
    return victims
  }

  private static let restartSeconds = 60.0
  /// The mean of Alibaba's openb cluster is 10.9.
  private static let coresPerGPU = 11.0
}
