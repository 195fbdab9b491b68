import IorunCore

@testable import IorunScheduler

/// The decision of `NodeInventory.mend` by the simplest means: a look at every node, for each gang.
struct MendingReference {
  let gang: GangMending
  let offers: [NodeOffer]
  let barred: Set<PeerID>
  let sites: NodeSites
  let placer: GangPlacer
  private let request: GangRequest
  private var siteOf: [PeerID: Int] = [:]
  private var siteCount = 0

  init(_ gang: GangMending, on inventory: NodeInventory, barred: Set<PeerID>) {
    self.gang = gang
    self.barred = barred
    (offers, sites, placer) = (inventory.offers, inventory.sites, inventory.placer)
    var request = GangRequest(
      ranks: 1, resources: gang.request.resources, gpuModel: gang.request.gpuModel,
      excluding: Set(gang.lostNodes))
    for node in barred { request.barred[node] = "" }
    self.request = request
  }

  mutating func outcome() -> GangMending.Outcome? {
    let usable = Dictionary(
      offers.filter { request.allows($0) }.map { ($0.node, $0) }
    ) { $1 }
    let seats = gang.seats.filter { usable[$0.node] != nil }
    let kept = seats.filter { $0.rank != nil }
    let spares = seats.filter { seat in
      seat.rank == nil && !kept.contains { $0.node == seat.node }
    }
    guard !kept.isEmpty, kept.count < gang.request.ranks else { return nil }
    guard gang.request.placement != .strictPack else { return nil }
    let free = usable.values.filter { offer in
      gang.request.placement != .strictSpread || !kept.contains { $0.node == offer.node }
    }
    number(kept.map(\.node) + spares.map(\.node) + gang.lostNodes, free)
    var slots = [Int](repeating: 0, count: siteCount)
    for offer in free {
      guard let site = siteOf[offer.node] else { continue }
      slots[site] += self.slots(offer)
    }
    var planner = RepairPlanner(matrix, free: slots)
    var casualty = RepairPlanner.Casualty(
      left: counts(kept.map(\.node)), lost: [:], spares: counts(spares.map(\.node)),
      maxRTTMilliseconds: gang.maxRTTMilliseconds,
      allowance: RepairPlanner.Allowance(
        stretch: gang.onLoss == .degrade ? 1.25 : 1,
        fewestDevices: gang.onLoss == .shrink ? gang.leastRanks : nil, mayMigrate: false))
    let missing = gang.request.ranks - kept.count
    let lost = gang.lostNodes.compactMap { siteOf[$0] }
    for rank in 0..<missing {
      casualty.lost[lost.isEmpty ? 0 : lost[rank % lost.count], default: 0] += 1
    }
    let shares: [Int: Int]
    var reached: Float?
    switch try? planner.repair(casualty) {
    case .replaced(let found, spares: _): shares = found
    case .degraded(let found, let longest): (shares, reached) = (found, longest)
    case .shrunk:
      return .shrunk(
        kept.sorted { $0.rank ?? 0 < $1.rank ?? 0 }.enumerated().map { rank, seat in
          GangPlacement.Member(rank: rank, node: seat.node, gpuIndices: seat.gpuIndices)
        })
    default: return nil
    }
    guard let joined = join(shares, spares, free), keepsLimits(kept + joined, usable) else {
      return nil
    }
    var places: [Int: GangMending.Seat] = [:]
    for seat in kept { if let rank = seat.rank { places[rank] = seat } }
    var open = joined[...]
    let members = (0..<gang.request.ranks).compactMap { rank -> GangPlacement.Member? in
      guard let seat = places[rank] ?? open.popFirst() else { return nil }
      return GangPlacement.Member(rank: rank, node: seat.node, gpuIndices: seat.gpuIndices)
    }
    return .mended(members, joined: joined, reached: reached)
  }

  private func slots(_ offer: NodeOffer) -> Int {
    var low = 0
    while low < gang.request.ranks {
      var request = request
      request.ranks = low + 1
      guard placer.fits(request, on: [offer]) else { break }
      low += 1
    }
    return low
  }

  private func counts(_ nodes: [PeerID]) -> [Int: Int] {
    nodes.reduce(into: [:]) { counts, node in
      if let site = siteOf[node] { counts[site, default: 0] += 1 }
    }
  }

  private mutating func number(_ needed: [PeerID], _ free: [NodeOffer]) {
    siteCount = sites.matrix.count
    var homeless = 0
    for node in needed + free.map(\.node).sorted() where siteOf[node] == nil {
      if let site = sites.siteOf[node] {
        siteOf[node] = site
      } else if homeless < 256 || needed.contains(node) {
        siteOf[node] = siteCount
        siteCount += 1
        homeless += 1
      }
    }
  }

  private var matrix: LatencyMatrix {
    let known = sites.matrix
    var values = [Float](repeating: .infinity, count: siteCount * siteCount)
    for one in 0..<known.count {
      for other in 0..<known.count { values[one * siteCount + other] = known[one, other] }
    }
    return LatencyMatrix(count: siteCount, milliseconds: values) ?? known
  }

  private func join(
    _ shares: [Int: Int], _ spares: [GangMending.Seat], _ free: [NodeOffer]
  ) -> [GangMending.Seat]? {
    var joined: [GangMending.Seat] = []
    for (site, count) in shares.sorted(by: { $0.key < $1.key }) {
      let warm = spares.filter { siteOf[$0.node] == site }.prefix(count)
      joined += warm
      guard warm.count < count else { continue }
      var request = request
      request.ranks = count - warm.count
      let here = free.filter { siteOf[$0.node] == site }
      guard case .placed(let placement) = placer.place(request, on: here) else { return nil }
      joined += placement.members.map {
        GangMending.Seat(rank: nil, node: $0.node, gpuIndices: $0.gpuIndices)
      }
    }
    return joined
  }

  private func keepsLimits(
    _ seats: [GangMending.Seat], _ offers: [PeerID: NodeOffer]
  ) -> Bool {
    let all = seats.compactMap { offers[$0.node] }
    func most(_ key: (NodeOffer) -> String) -> Int {
      Dictionary(grouping: all, by: key).values.map(\.count).max() ?? 0
    }
    if gang.request.placement == .strictSpread, Set(all.map(\.node)).count < all.count {
      return false
    }
    return most(\.supplier) <= gang.request.limits.perSupplier ?? .max
      && most(\.region) <= gang.request.limits.perCountry ?? .max
  }
}
