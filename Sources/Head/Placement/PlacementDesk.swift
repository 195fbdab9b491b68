internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// Says where a job would run now: the same decision that places accepted jobs, without reserving.
struct PlacementDesk: PlacementService {
  let director: JobDirector
  let authoriser: Authoriser

  func plan(_ spec: JobSpec, caller: PeerID) async throws -> PlacementPlan {
    try authoriser.check(caller, may: .plan)
    try SubmitCheck.check(spec)
    return plan(spec, await director.inventory())
  }

  func offers(_ spec: JobSpec, caller: PeerID) async throws -> [PlacementOffer] {
    try authoriser.check(caller, may: .plan)
    try SubmitCheck.check(spec)
    return try OfferDesk(inventory: await director.inventory()).offers(spec)
  }

  func explain(_ job: JobID, caller: PeerID) async throws -> JobExplanation {
    let status = try await director.visible(job, to: caller)
    let inventory = await director.inventory()
    let nodes = status.ranks.map(\.node)
    return JobExplanation(
      job: status, plan: status.state == .queued ? plan(status.spec, inventory) : nil,
      sites: Set(nodes.compactMap { inventory.sites.siteOf[$0] }).sorted(),
      longestRoundTripMilliseconds: nodes.isEmpty
        ? nil : inventory.sites.longest(among: nodes).map { Double($0) },
      notes: notes(of: status, inventory))
  }

  /// Doubtful places among the nodes that the job runs on or may want.
  private func notes(of job: JobStatus, _ inventory: Inventory) -> [String] {
    let used = Set(job.ranks.map(\.node))
    let asksForPlace = job.spec.gang.terms.map { terms in
      terms.mostRanksPerRegion != nil
        || (terms.labels ?? [:]).keys.contains(where: NodeStanding.placeLabels.contains)
    }
    return inventory.nodes.compactMap { node in
      guard let doubt = inventory.standing(of: node).placeDoubt,
        used.contains(node.id) || (asksForPlace == true && job.state == .queued)
      else { return nil }
      return "\(node.facts.name): \(doubt)"
    }
    .prefix(Self.mostNotes).map(\.self)
  }

  private static let mostNotes = 16

  private func plan(_ spec: JobSpec, _ inventory: Inventory) -> PlacementPlan {
    let names = Dictionary(uniqueKeysWithValues: inventory.nodes.map { ($0.id, $0.facts.name) })
    switch inventory.placer.place(inventory.request(spec), on: inventory.offers) {
    case .placed(let placement):
      let places = placement.members.map { member in
        PlacementPlan.Place(
          rank: member.rank, node: member.node, nodeName: names[member.node] ?? member.node.short,
          gpuIndices: member.gpuIndices)
      }
      let nodes = placement.members.map(\.node)
      return PlacementPlan(
        places: places, refusal: nil, fitsWhenIdle: true,
        sites: Set(nodes.compactMap { inventory.sites.siteOf[$0] }).sorted(),
        longestRoundTripMilliseconds: inventory.sites.longest(among: nodes).map { Double($0) },
        strategy: spec.gang.strategy(placement.fallback))
    case .refused(let refusal):
      let explained = inventory.explained(refusal, of: spec, on: inventory.offers)
      return PlacementPlan(
        places: [], refusal: explained.explanation, fitsWhenIdle: explained.fitsWhenIdle)
    }
  }
}

extension JobSpec.Gang {
  /// The strategy that fitted: 0 for the first one.
  func strategy(_ fallback: Int) -> GangStrategy {
    let all = [placement ?? .spread] + (terms?.fallbacks ?? [])
    return all.indices.contains(fallback) ? all[fallback] : .spread
  }
}
