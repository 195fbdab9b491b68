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
      let sight = await look()
      // No suspension from here to the last reservation: nothing is given out twice.
      placeQueue(on: inventory(of: sight))
      await settleLater()
    } while placesAgain && !Task.isCancelled
  }

  private func placeQueue(on inventory: Inventory) {
    var round = PlacementRound(inventory)
    beginLine(capacity: inventory.totals.capacity, now: clock.now())
    mendGangs(&round)
    while let id = line.next() {
      guard let job = live[id], job.isQueued else { continue }
      look(at: id, job.lifecycle.record, &round)
    }
  }

  private func look(at id: JobID, _ record: JobRecord, _ round: inout PlacementRound) {
    guard !waitsForLostNodes(id, record, round) else { return }
    let tenant = authoriser.peers.tenantName(of: record.owner)
    let admission = line.admission(of: record, by: tenant)
    if case .waits(let reason) = admission, round.offers.contains(where: \.isPlaceable) {
      live[id]?.waitsForJobs = nil
      return note("waits for its quota: \(reason)", on: id)
    }
    switch round.search(record) {
    case .placed(let placement):
      start(
        id, record, placement.members, &round, isBorrowing: admission == .borrows)
    case .refused(let refusal):
      if round.isHolding {
        if let limit = record.spec.timeoutSeconds,
          let placement = round.backfill(record, endsBySeconds: end(startingAt: nil, limit))
        {
          return start(
            id, record, placement.members, &round, isBorrowing: admission == .borrows)
        }
        live[id]?.waitsForJobs = nil
        return note("waits: what becomes free is held for a gang that goes before it", on: id)
      }
      explain(refusal, of: record.spec, round, to: id)
      guard refusal.fitsWhenIdle else { return }
      let request = round.request(record, excluding: record.lostNodes)
      let isUrgent = makeRoom(for: record, of: tenant, request, isOwn: admission == .own, round)
      if isUrgent || clock.now() - record.submittedAt >= options.holdAfter.inSeconds {
        round.hold(for: request, releases: releases)
      }
    }
  }

  /// Until when the jobs that hold places may hold them: those that have a time limit.
  private var releases: [NodeReservation.Release] {
    live.values.compactMap { job in
      let (record, seats) = (job.lifecycle.record, job.lifecycle.heldSeats)
      guard let limit = record.spec.timeoutSeconds, !seats.isEmpty else { return nil }
      return NodeReservation.Release(
        atSeconds: end(startingAt: record.startedAt, limit),
        seats: seats.map { ($0.node, $0.gpuIndices) }, resources: record.spec.gang.resources)
    }
  }

  /// When a job with this limit has surely ended, in seconds since 1970: the time to prepare and to
  /// stop it counts.
  private func end(startingAt start: Double?, _ limit: Double) -> Double {
    let preparing = start == nil ? options.timeoutSlack.inSeconds : 0
    return (start ?? clock.now()) + preparing + limit + options.timeoutSlack.inSeconds
  }

  /// An attempt never starts beside the one before: a node that is only out of reach stops its ranks
  /// when its fence passes, and no sooner.
  func waitsForLostNodes(_ id: JobID, _ record: JobRecord, _ round: PlacementRound) -> Bool {
    let lost = record.lostNodes.compactMap { round.nodes[$0] }
      .first { $0.mayStillRun(record.spec, options) }
    guard let lost else { return false }
    note("waits until \(lost.facts.name), which was lost, has surely stopped its ranks", on: id)
    return true
  }

  /// Reserves a gang's places, and spares beside it; the nodes are told once that is on disk.
  func start(
    _ id: JobID, _ record: JobRecord, _ members: [GangPlacement.Member],
    _ round: inout PlacementRound, spares kept: [JobCourse.Seat] = [], isBorrowing: Bool
  ) {
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
    apply(
      .placed(places, epoch: epoch, network: network, spares: spares, isBorrowing: isBorrowing),
      to: id)
    live[id]?.waitsForJobs = nil
    // What a gang that is mended holds was counted before.
    if record.course.seats.isEmpty {
      line.placed(record, of: authoriser.peers.tenantName(of: record.owner))
    }
  }

  /// Puts the queue into its order of this moment.
  private func beginLine(capacity: ResourceSet, now: Double) {
    var held = PlacementLine.Held()
    var waiting: [(record: JobRecord, tenant: String)] = []
    for id in order {
      guard let job = live[id] else { continue }
      let record = job.lifecycle.record
      let tenant = authoriser.peers.tenantName(of: record.owner)
      if job.isQueued { waiting.append((record, tenant)) }
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
    _ refusal: PlacementRefusal, of spec: JobSpec, _ round: PlacementRound, to id: JobID
  ) {
    guard live[id]?.waitsForJobs != refusal.fitsWhenIdle else { return }
    live[id]?.waitsForJobs = refusal.fitsWhenIdle
    guard refusal.fitsWhenIdle || round.offers.contains(where: \.isPlaceable) else {
      return note("waits for nodes: none is alive", on: id)
    }
    let explained = round.inventory.explained(refusal, of: spec, on: round.offers)
    note("waits for a placement: \(explained.explanation)", on: id)
  }

  func note(_ reason: String, on id: JobID) {
    guard live[id]?.lifecycle.setWaitingReason(reason) == true else { return }
    live[id]?.events.append(JobEvent(kind: .queued, detail: reason, time: clock.now()))
    markDirty(id)
  }
}
