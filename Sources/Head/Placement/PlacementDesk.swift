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
    let inventory = await director.inventory()
    let names = Dictionary(uniqueKeysWithValues: inventory.nodes.map { ($0.id, $0.facts.name) })
    switch GangPlacer().place(
      GangRequest(spec, excluding: GangRequest.unable(spec, inventory.nodes)), on: inventory.offers)
    {
    case .placed(let placement):
      let places = placement.members.map { member in
        PlacementPlan.Place(
          rank: member.rank, node: member.node, nodeName: names[member.node] ?? member.node.short,
          gpuIndices: member.gpuIndices)
      }
      return PlacementPlan(places: places, refusal: nil, fitsWhenIdle: true)
    case .refused(let refusal):
      return PlacementPlan(
        places: [], refusal: refusal.explanation, fitsWhenIdle: refusal.fitsWhenIdle)
    }
  }
}
