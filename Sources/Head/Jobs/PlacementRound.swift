internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// One look at the whole queue: the nodes, what of them is still free, and what was refused so far.
struct PlacementRound {
  let inventory: Inventory
  let nodes: [PeerID: NodeSnapshot]
  /// What is left for the jobs that are looked at next.
  var offers: [NodeOffer]
  /// True once what becomes free is held for a gang: nobody after it takes any, but who is bound to end
  /// before the gang can start.
  var isHolding: Bool { hold != nil }
  /// What is free beside and under the hold, and when the gang can start at the latest.
  private var hold: (offers: [NodeOffer], shadowSeconds: Double)?
  /// The same request gets the same refusal until something is freed.
  private var refused: [GangRequest: PlacementRefusal] = [:]
  /// What specs ask; many jobs ask the same.
  private var requests: [PlacementQuestion: GangRequest] = [:]

  init(_ inventory: Inventory) {
    self.inventory = inventory
    nodes = Dictionary(inventory.nodes.map { ($0.id, $0) }) { $1 }
    offers = inventory.offers
  }

  /// What a job asks of the scheduler.
  mutating func request(_ record: JobRecord, excluding: Set<PeerID> = []) -> GangRequest {
    let question = PlacementQuestion(record.spec, ranks: record.ranks)
    var request = requests[question] ?? inventory.request(record.spec, ranks: record.ranks)
    requests[question] = request
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
      offers.take(seat, of: resources)
      hold?.offers.take(seat, of: resources)
    }
  }

  /// These places are free again.
  mutating func release(_ seats: some Sequence<JobCourse.Seat>, of resources: ResourceSet) {
    for seat in seats {
      offers.release(seat, of: resources)
      hold?.offers.release(seat, of: resources)
    }
    refused = [:]
  }

  /// What becomes free from now on is held for a gang.
  ///
  /// - Parameter releases: until when what runs now may run.
  mutating func hold(for request: GangRequest, releases: [NodeReservation.Release]) {
    let shadow = NodeReservation.shadowSeconds(
      of: request, on: offers, releases: releases, placer: inventory.placer)
    hold = (offers, shadow)
    offers = NodeHold.offers(offers, keeping: request)
    refused = [:]
  }

  /// Places for a job under the hold: where it is bound to end before the gang can start.
  mutating func backfill(_ record: JobRecord, endsBySeconds end: Double) -> GangPlacement? {
    guard let hold, end <= hold.shadowSeconds, hold.shadowSeconds.isFinite else { return nil }
    let request = request(record, excluding: record.lostNodes)
    guard case .placed(let placement) = inventory.placer.place(request, on: hold.offers) else {
      return nil
    }
    return placement
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

extension [NodeOffer] {
  fileprivate mutating func take(_ seat: JobCourse.Seat, of resources: ResourceSet) {
    guard let index = firstIndex(where: { $0.node == seat.node }) else { return }
    self[index].take(resources, gpus: seat.gpuIndices)
  }

  fileprivate mutating func release(_ seat: JobCourse.Seat, of resources: ResourceSet) {
    guard let index = firstIndex(where: { $0.node == seat.node }) else { return }
    self[index].release(resources, gpus: seat.gpuIndices)
  }
}
