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
      let nodes = await directory.snapshot()
      let sites = await map.sites
      // No suspension from here to the last reservation: nothing is given out twice.
      placeQueue(on: Inventory(nodes: nodes, holdings: holdings(), sites: sites))
      await settleLater()
    } while placesAgain && !Task.isCancelled
  }

  private func placeQueue(on inventory: Inventory) {
    let nodes = Dictionary(uniqueKeysWithValues: inventory.nodes.map { ($0.id, $0) })
    var offers = inventory.offers
    // The same request gets the same refusal until something is freed.
    var refused: [GangRequest: PlacementRefusal] = [:]
    var isHolding = false
    let now = clock.now()
    beginLine(capacity: inventory.totals.capacity, now: now)
    while let id = line.next() {
      guard let job = live[id], job.isQueued else { continue }
      let record = job.lifecycle.record
      // An attempt never starts beside the one before: a node that is only out of reach stops its
      // ranks when its fence passes, and no sooner.
      if let lost = record.lostNodes.compactMap({ nodes[$0] }).first(where: {
        $0.mayStillRun(record.spec, options)
      }) {
        let name = lost.facts.name
        note("waits until \(name), which was lost, has surely stopped its ranks", on: id)
        continue
      }
      let result = search(record, on: offers, nodes, by: inventory.placer, &refused)
      switch result {
      case .placed(let placement):
        guard let network = network(for: record.spec, placement, nodes, to: id) else { continue }
        take(placement, of: record.spec.gang.resources, from: &offers)
        epoch += 1
        let members = placement.members.map { member in
          let facts = nodes[member.node]?.facts
          return JobLifecycle.Member(
            rank: member.rank, node: member.node, nodeName: facts?.name ?? member.node.short,
            address: facts?.address ?? "", gpuIndices: member.gpuIndices)
        }
        apply(.placed(members, epoch: epoch, network: network), to: id)
        live[id]?.waitsForJobs = nil
        line.placed(record)
      case .refused(let refusal):
        if isHolding {
          live[id]?.waitsForJobs = nil
          note("waits: what becomes free is held for a gang that goes before it", on: id)
          continue
        }
        explain(refusal, hasNodes: offers.contains(where: \.isPlaceable), to: id)
        if refusal.fitsWhenIdle,
          now - record.submittedAt >= options.holdAfter.inSeconds
        {
          isHolding = true
          let unable = GangRequest.unable(record.spec, nodes.values)
          offers = NodeHold.offers(
            offers,
            keeping: GangRequest(
              record.spec, excluding: record.lostNodes.union(unable),
              unproved: GangRequest.unproved(record.spec, nodes.values)))
        }
      }
    }
  }

  /// Puts the queue into its order of this moment.
  private func beginLine(capacity: ResourceSet, now: Double) {
    var held: [PeerID: [(resources: ResourceSet, ranks: Int)]] = [:]
    var waiting: [JobRecord] = []
    for id in order {
      guard let job = live[id] else { continue }
      let record = job.lifecycle.record
      if job.isQueued { waiting.append(record) }
      let ranks = job.lifecycle.ranks.count { !$0.isEnded }
      if ranks > 0 { held[record.owner, default: []].append((record.spec.gang.resources, ranks)) }
    }
    line.begin(waiting, held: held, capacity: capacity, now: now)
  }

  /// Without the nodes that were lost under the job, and with them where that cannot be.
  private func search(
    _ job: JobRecord, on offers: [NodeOffer], _ nodes: [PeerID: NodeSnapshot],
    by placer: GangPlacer, _ refused: inout [GangRequest: PlacementRefusal]
  ) -> PlacementResult {
    let unable = GangRequest.unable(job.spec, nodes.values)
    let unproved = GangRequest.unproved(job.spec, nodes.values)
    let careful = place(
      GangRequest(job.spec, excluding: job.lostNodes.union(unable), unproved: unproved),
      on: offers, by: placer, &refused)
    guard case .refused(let refusal) = careful, !refusal.fitsWhenIdle, !job.lostNodes.isEmpty
    else { return careful }
    return place(
      GangRequest(job.spec, excluding: unable, unproved: unproved), on: offers, by: placer,
      &refused)
  }

  /// The network of a gang that could be placed; `nil` inside where it uses its nodes' own, and
  /// outside where the job has to wait.
  private func network(
    for spec: JobSpec, _ placement: GangPlacement, _ nodes: [PeerID: NodeSnapshot], to id: JobID
  ) -> OverlayAllotment?? {
    let members = Set(placement.members.map(\.node)).compactMap { nodes[$0] }
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

  private func place(
    _ request: GangRequest, on offers: [NodeOffer], by placer: GangPlacer,
    _ refused: inout [GangRequest: PlacementRefusal]
  ) -> PlacementResult {
    if let refusal = refused[request] { return .refused(refusal) }
    let result = placer.place(request, on: offers)
    if case .refused(let refusal) = result { refused[request] = refusal }
    return result
  }

  private func take(
    _ placement: GangPlacement, of resources: ResourceSet, from offers: inout [NodeOffer]
  ) {
    let members = Dictionary(grouping: placement.members, by: \.node)
    for index in offers.indices {
      for member in members[offers[index].node] ?? [] {
        offers[index].used = offers[index].used + resources
        offers[index].usedGPUs.formUnion(member.gpuIndices)
      }
    }
  }

  /// Says why a job waits, but not anew each time that only the figures changed.
  private func explain(_ refusal: PlacementRefusal, hasNodes: Bool, to id: JobID) {
    guard live[id]?.waitsForJobs != refusal.fitsWhenIdle else { return }
    live[id]?.waitsForJobs = refusal.fitsWhenIdle
    let reason =
      hasNodes || refusal.fitsWhenIdle
      ? "waits for a placement: \(refusal.explanation)"
      : "waits for nodes: none is alive"
    note(reason, on: id)
  }

  private func note(_ reason: String, on id: JobID) {
    guard live[id]?.lifecycle.setWaitingReason(reason) == true else { return }
    live[id]?.events.append(JobEvent(kind: .queued, detail: reason, time: clock.now()))
    markDirty(id)
  }
}
