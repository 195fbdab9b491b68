internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The queue: first in, first out, with smaller jobs going first where the head of the queue does
/// not fit.
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
      // No suspension from here to the last reservation: nothing is given out twice.
      placeQueue(on: Inventory(nodes: nodes, holdings: holdings()))
      await settleLater()
    } while placesAgain && !Task.isCancelled
  }

  private func placeQueue(on inventory: Inventory) {
    let nodes = Dictionary(uniqueKeysWithValues: inventory.nodes.map { ($0.id, $0) })
    var offers = inventory.offers
    // The same request gets the same refusal until something is freed.
    var refused: [GangRequest: PlacementRefusal] = [:]
    for id in order {
      guard let job = live[id], job.isQueued else { continue }
      let record = job.lifecycle.record
      // An attempt never starts beside the one before: a node that is only out of reach stops its
      // ranks when its fence passes, and no sooner.
      if let lost = record.lostNodes.compactMap({ nodes[$0] }).first(where: \.mayStillRun) {
        let name = lost.facts.name
        note("waits until \(name), which was lost, has surely stopped its ranks", on: id)
        continue
      }
      let result = search(record, on: offers, &refused)
      switch result {
      case .placed(let placement):
        take(placement, of: record.spec.gang.resources, from: &offers)
        epoch += 1
        let members = placement.members.map { member in
          let facts = nodes[member.node]?.facts
          return JobLifecycle.Member(
            rank: member.rank, node: member.node, nodeName: facts?.name ?? member.node.short,
            address: facts?.address ?? "", gpuIndices: member.gpuIndices)
        }
        apply(.placed(members, epoch: epoch), to: id)
        live[id]?.waitsForJobs = nil
      case .refused(let refusal):
        explain(refusal, hasNodes: offers.contains(where: \.isPlaceable), to: id)
      }
    }
  }

  /// Without the nodes that were lost under the job, and with them where that cannot be.
  private func search(
    _ job: JobRecord, on offers: [NodeOffer], _ refused: inout [GangRequest: PlacementRefusal]
  ) -> PlacementResult {
    let careful = place(GangRequest(job.spec, excluding: job.lostNodes), on: offers, &refused)
    guard case .refused(let refusal) = careful, !refusal.fitsWhenIdle, !job.lostNodes.isEmpty
    else { return careful }
    return place(GangRequest(job.spec), on: offers, &refused)
  }

  private func place(
    _ request: GangRequest, on offers: [NodeOffer],
    _ refused: inout [GangRequest: PlacementRefusal]
  ) -> PlacementResult {
    if let refusal = refused[request] { return .refused(refusal) }
    let result = GangPlacer().place(request, on: offers)
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
