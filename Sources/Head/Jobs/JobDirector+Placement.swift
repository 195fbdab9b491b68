internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import Logging

/// The queue: the order is `PlacementLine`'s. Smaller jobs go past one that does not fit, until it has
/// waited for `holdAfter`; then what becomes free is held for it (`NodeHold`).
extension JobDirector {
  /// Looks for places for queued jobs, now or once the present search is over.
  func placeSoon() {
    guard live.values.contains(where: \.isQueued) else { return }
    if isPlacing {
      placesAgain = true
      return
    }
    isPlacing = true
    tasks.run { await self.place() }
  }

  private func place() async {
    defer { isPlacing = false }
    repeat {
      placesAgain = false
      await hearNews()
      // No suspension from here to the last reservation: nothing is given out twice.
      placeQueue()
      await orderProbes()
      await settleLater()
    } while placesAgain && !Task.isCancelled
  }

  private func placeQueue() {
    beginLine(capacity: known.capacity, now: clock.now())
    // The round's alone meanwhile, so that changes to it copy nothing.
    var round = PlacementRound(takeKnown(), authoriser)
    mendGangs(&round)
    while let id = line.next() {
      guard let job = live[id], job.isQueued else { continue }
      look(at: id, job, &round)
    }
    giveBack(round)
  }

  private func look(at id: JobID, _ job: LiveJob, _ round: inout PlacementRound) {
    let record = job.lifecycle.record
    guard !waitsForLostNodes(id, record, round), !isMeasured(id) else { return }
    let tenant = authoriser.peers.tenantName(of: record.owner)
    let admission = line.admission(of: record, by: tenant)
    if case .waits(let reason) = admission, round.offers.contains(where: \.isPlaceable) {
      live[id]?.waitsForJobs = nil
      return note("waits for its quota: \(reason)", on: id)
    }
    switch round.search(record) {
    case .placed(let placement):
      guard !waitsForProbes(id, record, placement, &round) else { return }
      start(id, record, placement, &round, isBorrowing: admission == .borrows)
    case .refused(let fitsWhenIdle):
      if round.isHolding {
        if let limit = record.spec.timeoutSeconds,
          let placement = round.backfill(record, endsBySeconds: end(after: nil, limit))
        {
          return start(id, record, placement, &round, isBorrowing: admission == .borrows)
        }
        live[id]?.waitsForJobs = nil
        return note("waits: what becomes free is held for a gang that goes before it", on: id)
      }
      explain(record, &round, to: id, fitsWhenIdle: fitsWhenIdle)
      guard fitsWhenIdle else { return }
      let isUrgent = makeRoom(for: record, of: tenant, isOwn: admission == .own, &round)
      let waited = job.ages.sinceSubmitted(clock.elapsed())
      if isUrgent || waited >= options.holdAfter.inSeconds {
        let request = round.request(record, excluding: record.lostNodes)
        round.hold(for: request, releases: releases(for: waited))
      }
    }
  }

  /// Until when the jobs that hold places may hold them, for a gang that has waited for so many seconds:
  /// by their time limits, and where they have none, for a while, by how long others ran that had run for
  /// so long.
  private func releases(for waited: Double) -> [NodeReservation.Release] {
    let elapsed = clock.elapsed()
    let expects = waited < (options.holdAfter + options.expectFor).inSeconds
    return live.values.compactMap { job in
      let (record, seats) = (job.lifecycle.record, job.lifecycle.heldSeats)
      guard !seats.isEmpty,
        let limit = record.spec.timeoutSeconds.map({
          end(after: job.ages.sinceStarted(elapsed), $0)
        }) ?? (expects ? expectedEnd(after: job.ages.sinceStarted(elapsed)) : nil)
      else { return nil }
      return NodeReservation.Release(
        atSeconds: limit,
        seats: seats.map { ($0.node, $0.gpuIndices) }, resources: record.spec.gang.resources)
    }
  }

  /// When half of the attempts had ended that had run for as long as a job has (`nil`: it was not
  /// started); `nil` where too few have ended to say.
  private func expectedEnd(after ran: Double?) -> Double? {
    lengths.remainingSeconds(atAgeSeconds: ran ?? 0, quantile: 0.5).map { clock.now() + $0 }
  }

  /// When a job with this limit has surely ended that has run for so long (`nil`: it was not started), in
  /// seconds since 1970: the time to prepare and to stop it counts.
  private func end(after ran: Double?, _ limit: Double) -> Double {
    let preparing = ran == nil ? options.timeoutSlack.inSeconds : 0
    return clock.now() - (ran ?? 0) + preparing + limit + options.timeoutSlack.inSeconds
  }

  /// An attempt never starts beside the one before: a node that is only out of reach stops its ranks
  /// when its fence passes, and no sooner.
  func waitsForLostNodes(_ id: JobID, _ record: JobRecord, _ round: PlacementRound) -> Bool {
    guard record.lostNodes.isSubset(of: round.live.fresh) else {
      // It lost a node since the news came.
      placesAgain = true
      return true
    }
    let lost = record.lostNodes.compactMap { round.nodes[$0] }
      .first { $0.mayStillRun(record.spec, options) }
    guard let lost else { return false }
    note("waits until \(lost.facts.name), which was lost, has surely stopped its ranks", on: id)
    return true
  }

  /// Reserves a gang's places, and spares beside it; the nodes are told once that is on disk.
  ///
  /// - Parameter mended: what became of a gang that lost a node; `nil` for one that did not.
  func start(
    _ id: JobID, _ record: JobRecord, _ placement: GangPlacement, _ round: inout PlacementRound,
    spares kept: [JobCourse.Seat] = [], mended: String? = nil, isBorrowing: Bool
  ) {
    let members = placement.members
    guard let network = network(for: record.spec, Set(members.map(\.node)), round.nodes, to: id)
    else { return }
    let resources = record.spec.gang.resources
    round.take(
      members.map { JobCourse.Seat(rank: $0.rank, node: $0.node, gpuIndices: $0.gpuIndices) },
      of: resources)
    let wanted = (record.spec.gang.terms?.spares ?? 0) - kept.count
    let spares = kept + (wanted > 0 ? round.spares(wanted, beside: members, of: record) : [])
    round.take(spares.dropFirst(kept.count), of: resources)
    epoch += 1
    let places = members.map { member in
      let facts = round.nodes[member.node]?.facts
      return JobLifecycle.Member(
        rank: member.rank, node: member.node, nodeName: facts?.name ?? member.node.short,
        address: facts?.address ?? "", gpuIndices: member.gpuIndices)
    }
    var choice = round.choice(placement, of: record, spares: spares)
    if let mended { choice.reasons = [mended] }
    apply(
      .placed(
        places, epoch: epoch, network: network, spares: spares, isBorrowing: isBorrowing,
        choice: choice), to: id)
    live[id]?.waitsForJobs = nil
    // What a gang that is mended holds was counted before.
    if record.course.seats.isEmpty {
      line.placed(record, of: authoriser.peers.tenantName(of: record.owner))
    }
  }

  /// Puts the queue into its order of this moment.
  private func beginLine(capacity: ResourceSet, now: Double) {
    var held = PlacementLine.Held()
    var waiting: [PlacementLine.Waiting] = []
    let elapsed = clock.elapsed()
    for id in order {
      guard let job = live[id] else { continue }
      let record = job.lifecycle.record
      let tenant = authoriser.peers.tenantName(of: record.owner)
      if job.isQueued { waiting.append((record, tenant, job.ages.sinceSubmitted(elapsed))) }
      let ranks = job.lifecycle.heldSeats.count
      if ranks > 0 { held[tenant, default: []].append((record.spec.gang.resources, ranks)) }
    }
    line.begin(waiting, held: held, capacity: capacity, now: now)
  }

  /// The network of a gang that could be placed; `nil` inside where it uses its nodes' own, and
  /// outside where the job has to wait.
  private func network(
    for spec: JobSpec, _ used: Set<PeerID>, _ nodes: [PeerID: NodeSnapshot], to id: JobID
  ) -> OverlayAllotment?? {
    let members = used.compactMap { nodes[$0] }
    let taken = live.values.compactMap { $0.lifecycle.record.network?.network }
    do {
      switch try overlay.decide(spec, on: members, number: epoch + 1, taken: taken) {
      case .overlay(let allotment): return .some(allotment)
      case .host(let reason):
        if let reason {
          logger.info("a gang uses its nodes' own networks: \(reason)", metadata: ["job": "\(id)"])
        }
        return .some(nil)
      case .refused(let reason):
        note("waits for a network of its own: \(reason)", on: id)
        return nil
      }
    } catch {
      logger.error("no secret for a gang's network", metadata: ["error": "\(error)"])
      return nil
    }
  }

  /// Says why a job waits, but not anew each time that only the figures changed.
  private func explain(
    _ record: JobRecord, _ round: inout PlacementRound, to id: JobID, fitsWhenIdle: Bool
  ) {
    guard live[id]?.waitsForJobs != fitsWhenIdle else { return }
    live[id]?.waitsForJobs = fitsWhenIdle
    guard fitsWhenIdle || round.offers.contains(where: \.isPlaceable) else {
      return note("waits for nodes: none is alive and takes work", on: id)
    }
    let explained = round.inventory().explained(
      round.refusal(of: record), of: record.spec, by: round.owner(of: record), on: round.offers)
    note("waits for a placement: \(explained.explanation)", on: id)
  }

  func note(_ reason: String, on id: JobID) {
    guard live[id]?.lifecycle.setWaitingReason(reason) == true else { return }
    live[id]?.events.append(JobEvent(kind: .queued, detail: reason, time: clock.now()))
    markDirty(id)
  }
}
