internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// One look at the whole queue: the nodes, what of them is still free, and what was refused so far.
struct PlacementRound {
  let inventory: Inventory
  let nodes: [PeerID: NodeSnapshot]
  /// What is left for the jobs that are looked at next.
  var offers: [NodeOffer]
  /// True once what becomes free is held for a gang: nobody after it takes any.
  var isHolding = false
  /// The same request gets the same refusal until something is freed.
  private var refused: [GangRequest: PlacementRefusal] = [:]
  /// Nodes that a spec's terms leave out; many jobs have the same.
  private var requests: [JobSpec.Gang: GangRequest] = [:]

  init(_ inventory: Inventory) {
    self.inventory = inventory
    nodes = Dictionary(inventory.nodes.map { ($0.id, $0) }) { $1 }
    offers = inventory.offers
  }

  /// What a job asks of the scheduler.
  mutating func request(_ record: JobRecord, excluding: Set<PeerID> = []) -> GangRequest {
    var gang = record.spec.gang
    gang.ranks = record.ranks
    // The network and the image are terms, too, and are not the gang's.
    let network = record.spec.network ?? .host
    let isKept = network == .host && record.spec.image == nil
    var request: GangRequest
    if isKept, let known = requests[gang] {
      request = known
    } else {
      request = inventory.request(record.spec, ranks: record.ranks)
      if isKept { requests[gang] = request }
    }
    request.excluding = excluding
    return request
  }

  /// Places for a job: without the nodes that were lost under it, and with them where that cannot be.
  mutating func search(_ record: JobRecord) -> PlacementResult {
    let careful = place(request(record, excluding: record.lostNodes))
    guard case .refused(let refusal) = careful, !refusal.fitsWhenIdle, !record.lostNodes.isEmpty
    else { return careful }
    return place(request(record))
  }

  mutating func place(_ request: GangRequest) -> PlacementResult {
    if let refusal = refused[request] { return .refused(refusal) }
    let result = inventory.placer.place(request, on: offers)
    if case .refused(let refusal) = result { refused[request] = refusal }
    return result
  }

  /// These places are given away.
  mutating func take(_ seats: some Sequence<JobCourse.Seat>, of resources: ResourceSet) {
    for seat in seats {
      guard let index = offers.firstIndex(where: { $0.node == seat.node }) else { continue }
      offers[index].used = offers[index].used + resources
      offers[index].usedGPUs.formUnion(seat.gpuIndices)
    }
  }

  /// These places are free again.
  mutating func release(_ seats: some Sequence<JobCourse.Seat>, of resources: ResourceSet) {
    for seat in seats {
      guard let index = offers.firstIndex(where: { $0.node == seat.node }) else { continue }
      offers[index].used = offers[index].used - resources
      offers[index].usedGPUs.subtract(seat.gpuIndices)
    }
    refused = [:]
  }

  /// What becomes free from now on is held for a gang.
  mutating func hold(for request: GangRequest) {
    isHolding = true
    offers = NodeHold.offers(offers, keeping: request)
    refused = [:]
  }

  /// Places beside the gang for ranks that may be lost, as many as there are up to `count`: on other
  /// nodes, and as near as the gang asked to be.
  mutating func spares(
    _ count: Int, beside members: [GangPlacement.Member], of record: JobRecord
  ) -> [JobCourse.Seat] {
    let used = Set(members.map(\.node))
    var request = request(record, excluding: record.lostNodes.union(used))
    var limit = Float.infinity
    if case .site(let most) = request.placement {
      limit = most.map { Float($0) } ?? inventory.sites.longest(among: used) ?? .infinity
    }
    if limit < .infinity {
      for offer in offers {
        let isNear = used.allSatisfy { node in
          inventory.sites.roundTrip(offer.node, node).map { $0 <= limit } ?? false
        }
        if !isNear { request.excluding.insert(offer.node) }
      }
    }
    request.placement = .spread
    request.fallbacks = []
    for ranks in stride(from: count, to: 0, by: -1) {
      request.ranks = ranks
      guard case .placed(let placement) = place(request) else { continue }
      return placement.members.map {
        JobCourse.Seat(rank: nil, node: $0.node, gpuIndices: $0.gpuIndices)
      }
    }
    return []
  }
}
