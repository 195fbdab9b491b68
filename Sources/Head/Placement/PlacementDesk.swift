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
    let owner = authoriser.owner(caller)
    let prospect = try await director.prospect(of: spec, by: owner)
    var plan = plan(spec, of: owner, prospect)
    plan.offers = prospect.offers(spec)
    return plan
  }

  func offers(_ spec: JobSpec, caller: PeerID) async throws -> [PlacementOffer] {
    try authoriser.check(caller, may: .plan)
    try SubmitCheck.check(spec)
    return try await director.prospect(of: spec, by: authoriser.owner(caller)).offers(spec)
  }

  func explain(_ job: JobID, caller: PeerID) async throws -> JobExplanation {
    let status = try await director.visible(job, to: caller)
    let inventory = await director.inventory()
    let nodes = status.ranks.map(\.node)
    let choice = try await director.choice(of: job)
    let owner = authoriser.owner(status.owner)
    let prospect =
      status.state == .queued ? try await director.prospect(of: status.spec, by: owner) : nil
    return JobExplanation(
      job: status,
      plan: prospect.map { plan(status.spec, of: owner, $0) },
      sites: Set(nodes.compactMap { inventory.sites.siteOf[$0] }).sorted(),
      longestRoundTripMilliseconds: nodes.isEmpty
        ? nil : inventory.sites.longest(among: nodes).map { Double($0) },
      notes: notes(of: status, inventory), choice: status.state == .queued ? nil : choice)
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

  private func plan(
    _ spec: JobSpec, of owner: JobOwner, _ prospect: Prospect
  ) -> PlacementPlan {
    switch prospect.answer {
    case .placed(let placement):
      let places = placement.members.map { member in
        PlacementPlan.Place(
          rank: member.rank, node: member.node, nodeName: prospect.name(of: member.node),
          gpuIndices: member.gpuIndices)
      }
      let nodes = placement.members.map(\.node)
      return PlacementPlan(
        places: places, refusal: nil, fitsWhenIdle: true,
        sites: Set(nodes.compactMap { prospect.sites.siteOf[$0] }).sorted(),
        longestRoundTripMilliseconds: prospect.sites.longest(among: nodes).map { Double($0) },
        strategy: spec.gang.strategy(placement.fallback),
        choice: prospect.choice(placement, of: spec))
    case .refused(let fitsWhenIdle):
      let offers = prospect.nodeOffers
      guard let inventory = prospect.plain,
        case .refused(let refusal) = inventory.placer.place(
          inventory.request(spec, of: owner), on: offers)
      else {
        return PlacementPlan(
          places: [], refusal: "the nodes changed while they were looked at; try again",
          fitsWhenIdle: fitsWhenIdle)
      }
      let explained = inventory.explained(refusal, of: spec, by: owner, on: offers)
      return PlacementPlan(
        places: [], refusal: explained.explanation, fitsWhenIdle: explained.fitsWhenIdle,
        funnel: explained.funnel.map(PlacementFunnel.init))
    }
  }
}
