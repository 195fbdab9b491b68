internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// Gangs that lost a node and are mended as their specs say (`on_loss`): who is left keeps its node,
/// lost ranks get a spare, then a place of the same site, then the nearest. These go before the queue:
/// their places are held for them.
extension JobDirector {
  func mendGangs(_ round: inout PlacementRound) {
    for id in order {
      guard let job = live[id], job.isQueued, job.lifecycle.record.course.repairs > 0,
        !job.lifecycle.record.course.lostNodes.isEmpty
      else { continue }
      let record = job.lifecycle.record
      guard !waitsForLostNodes(id, record, round) else { continue }
      let mended = MendingPlan(record, &round).members
      round.release(record.course.seats, of: record.spec.gang.resources)
      if let mended {
        let used = Set(mended.members.map(\.node))
        let spares = record.course.seats.filter { $0.rank == nil && !used.contains($0.node) }
        round.take(spares, of: record.spec.gang.resources)
        let placement = GangPlacement(
          members: mended.members, fallback: record.course.choice?.fallback ?? 0)
        start(
          id, record, placement, &round, spares: spares, mended: mended.words,
          isBorrowing: record.course.isBorrowing)
        live[id]?.events.append(
          JobEvent(kind: .placed, detail: mended.words, time: clock.now()))
        continue
      }
      // Nothing near is free: it moves as a whole, at once where its spec says so, else in its turn.
      if record.spec.gang.terms?.onLoss == .migrate,
        case .placed(let placement) = round.search(record)
      {
        let words = "moved: nothing near the nodes that were left was free"
        start(id, record, placement, &round, mended: words, isBorrowing: record.course.isBorrowing)
        live[id]?.events.append(JobEvent(kind: .placed, detail: words, time: clock.now()))
        continue
      }
      if live[id]?.lifecycle.releaseSeats() == true {
        recount(id)
        markDirty(id)
      }
    }
  }
}

/// Where the ranks of a gang go that lost a node: a pure decision.
struct MendingPlan {
  /// The places of all ranks, and what became of the gang in words; `nil` where nothing near is free.
  private(set) var members: (members: [GangPlacement.Member], words: String)?

  private let record: JobRecord
  private let inventory: Inventory
  private let offers: [NodeOffer]
  private let placer: GangPlacer
  /// What one more rank of the gang asks of a node.
  private let request: GangRequest
  /// Sites by node; nodes of no known site get one of their own.
  private var siteOf: [PeerID: Int] = [:]
  private var siteCount = 0

  /// The most nodes of no known site that are looked at.
  private static let mostHomeless = 256

  init(_ record: JobRecord, _ round: inout PlacementRound) {
    self.record = record
    inventory = round.inventory()
    (offers, placer) = (round.offers, round.placer)
    var request = inventory.request(
      record.spec, of: round.owner(of: record), ranks: 1, excluding: Set(record.course.lostNodes))
    request.placement = .spread
    request.fallbacks = []
    request.limits = GangDemand.Limits()
    self.request = request
    members = plan()
  }

  private mutating func plan() -> (members: [GangPlacement.Member], words: String)? {
    let usable = Dictionary(
      offers.filter { request.allows($0) }.map { ($0.node, $0) }
    ) { $1 }
    let seats = record.course.seats.filter { usable[$0.node] != nil }
    let kept = seats.filter { $0.rank != nil }
    let spares = seats.filter { seat in
      seat.rank == nil && !kept.contains { $0.node == seat.node }
    }
    guard !kept.isEmpty, kept.count < record.ranks else { return nil }
    guard record.spec.gang.placement != .strictPack else { return nil }
    let free = usable.values.filter { offer in
      record.spec.gang.placement != .strictSpread || !kept.contains { $0.node == offer.node }
    }
    number(kept.map(\.node) + spares.map(\.node) + record.course.lostNodes, free)
    var slots = [Int](repeating: 0, count: siteCount)
    for offer in free {
      guard let site = siteOf[offer.node] else { continue }
      slots[site] += self.slots(offer)
    }
    var planner = RepairPlanner(matrix, free: slots)
    let policy = record.spec.gang.terms?.onLoss
    var casualty = RepairPlanner.Casualty(
      left: counts(kept.map(\.node)), lost: [:], spares: counts(spares.map(\.node)),
      maxRTTMilliseconds: limit,
      allowance: RepairPlanner.Allowance(
        stretch: policy == .degrade ? RepairPlanner.Allowance().stretch : 1,
        fewestDevices: policy == .shrink ? record.spec.gang.terms?.leastRanks ?? 1 : nil,
        // The round's own search moves a gang: it knows nodes and limits.
        mayMigrate: false))
    // As many as are missing, at the sites that lost nodes as far as these are known.
    let missing = record.ranks - kept.count
    let lost = record.course.lostNodes.compactMap { siteOf[$0] }
    for rank in 0..<missing {
      casualty.lost[lost.isEmpty ? 0 : lost[rank % lost.count], default: 0] += 1
    }
    let shares: [Int: Int]
    let farther: String
    switch try? planner.repair(casualty) {
    case .replaced(let found, spares: _): (shares, farther) = (found, "")
    case .degraded(let found, let reached):
      shares = found
      farther =
        "; degraded: \(RoundTripWords.text(reached)) apart now, more than the "
        + "\(RoundTripWords.text(limit)) that were asked for"
    case .shrunk:
      let left = kept.sorted { $0.rank ?? 0 < $1.rank ?? 0 }.enumerated().map { rank, seat in
        GangPlacement.Member(rank: rank, node: seat.node, gpuIndices: seat.gpuIndices)
      }
      return (left, "shrunk: it goes on with \(left.count) of \(record.ranks) ranks")
    default: return nil
    }
    guard let joined = join(shares, spares, free), keepsLimits(kept, joined, usable) else {
      return nil
    }
    let names = joined.compactMap { usable[$0.node]?.name }
    return (
      numbered(kept, joined),
      "mended: \(missing) of \(record.ranks) ranks on \(names.joined(separator: ", "))\(farther)"
    )
  }

  /// No round trip of the gang may be longer; none is too long where the spec asks for no site.
  private var limit: Float {
    // A gang that was placed by a fallback keeps to that.
    let strategy = record.spec.gang.strategy(record.course.choice?.fallback ?? 0)
    if case .site(let most?) = strategy { return Float(most) }
    return .infinity
  }

  private func slots(_ offer: NodeOffer) -> Int {
    var low = 0
    // Few are missing: each is tried.
    while low < record.ranks {
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
    siteCount = inventory.sites.matrix.count
    var homeless = 0
    for node in needed + free.map(\.node).sorted() where siteOf[node] == nil {
      if let site = inventory.sites.siteOf[node] {
        siteOf[node] = site
      } else if homeless < Self.mostHomeless || needed.contains(node) {
        siteOf[node] = siteCount
        siteCount += 1
        homeless += 1
      }
    }
  }

  private var matrix: LatencyMatrix {
    let known = inventory.sites.matrix
    var values = [Float](repeating: .infinity, count: siteCount * siteCount)
    for one in 0..<known.count {
      for other in 0..<known.count { values[one * siteCount + other] = known[one, other] }
    }
    return LatencyMatrix(count: siteCount, milliseconds: values) ?? known
  }

  /// Places at the sites that were chosen, spares first.
  private func join(
    _ shares: [Int: Int], _ spares: [JobCourse.Seat], _ free: [NodeOffer]
  ) -> [JobCourse.Seat]? {
    var joined: [JobCourse.Seat] = []
    for (site, count) in shares.sorted(by: { $0.key < $1.key }) {
      let warm = spares.filter { siteOf[$0.node] == site }.prefix(count)
      joined += warm
      guard warm.count < count else { continue }
      var request = request
      request.ranks = count - warm.count
      let here = free.filter { siteOf[$0.node] == site }
      guard case .placed(let placement) = placer.place(request, on: here) else {
        return nil
      }
      joined += placement.members.map {
        JobCourse.Seat(rank: nil, node: $0.node, gpuIndices: $0.gpuIndices)
      }
    }
    return joined
  }

  private func keepsLimits(
    _ kept: [JobCourse.Seat], _ joined: [JobCourse.Seat], _ offers: [PeerID: NodeOffer]
  ) -> Bool {
    let all = (kept + joined).compactMap { offers[$0.node] }
    let terms = record.spec.gang.terms
    func most(_ key: (NodeOffer) -> String) -> Int {
      Dictionary(grouping: all, by: key).values.map(\.count).max() ?? 0
    }
    if record.spec.gang.placement == .strictSpread, Set(all.map(\.node)).count < all.count {
      return false
    }
    return most(\.supplier) <= terms?.mostRanksPerSupplier ?? .max
      && most(\.region) <= terms?.mostRanksPerRegion ?? .max
  }

  /// Who is left keeps its number; the others get the numbers that are missing.
  private func numbered(
    _ kept: [JobCourse.Seat], _ joined: [JobCourse.Seat]
  ) -> [GangPlacement.Member] {
    var places: [Int: JobCourse.Seat] = [:]
    for seat in kept { if let rank = seat.rank { places[rank] = seat } }
    var open = joined[...]
    return (0..<record.ranks).compactMap { rank in
      guard let seat = places[rank] ?? open.popFirst() else { return nil }
      return GangPlacement.Member(rank: rank, node: seat.node, gpuIndices: seat.gpuIndices)
    }
  }
}
