public import IorunCore

/// Which running gangs to take back so that another finds its places, at the smallest cost: as
/// ``PreemptionPlan``, but on nodes, where what becomes free must also lie right.
///
/// Sets of gangs are tried in the order of their cost, so the first with which the gang is placed is
/// the cheapest. Where the budget runs out, gangs are added by cost until there is room, and those that
/// turn out not to be needed are left alone, the dearest first.
public struct PreemptionSearch: Sendable {
  /// A gang that may be taken back.
  public struct Candidate: Sendable, Hashable {
    /// Names it.
    public var id: Int
    /// What it takes on each of its places.
    public var resources: ResourceSet
    /// Its places.
    public var places: [Place]
    /// What is lost. One that is negative or not a number counts as infinite.
    public var cost: Double

    /// Describes a gang that may be taken back.
    public init(id: Int, resources: ResourceSet, places: [Place], cost: Double) {
      self.id = id
      self.resources = resources
      self.places = places
      self.cost = cost
    }
  }

  /// A place of a gang.
  public struct Place: Sendable, Hashable {
    /// The node.
    public var node: PeerID
    /// The GPUs that it holds there.
    public var gpuIndices: [Int]

    /// Describes a place.
    public init(node: PeerID, gpuIndices: [Int]) {
      self.node = node
      self.gpuIndices = gpuIndices
    }
  }

  /// How many sets are tried.
  static let budget = 256

  private let placer: GangPlacer
  private let request: GangRequest
  private let offers: [NodeOffer]
  private let rows: [PeerID: Int]

  /// Looks for room for `request` on `offers`, of which the candidates hold a part.
  public init(_ request: GangRequest, on offers: [NodeOffer], by placer: GangPlacer) {
    self.request = request
    self.offers = offers
    self.placer = placer
    rows = Dictionary(offers.enumerated().map { ($1.node, $0) }) { first, _ in first }
  }

  /// The gangs to take back, ascending, and what that costs; `nil` where all of them are not enough.
  public func cheapest(_ candidates: [Candidate]) -> (victims: [Int], cost: Double)? {
    let usable = candidates.filter { candidate in
      candidate.cost >= 0 && candidate.cost.isFinite
        && candidate.places.contains { place in rows[place.node].map(allows) ?? false }
    }
    .sorted { ($0.cost, $0.id) < ($1.cost, $1.id) }
    guard fits(without: usable) else { return nil }
    let chosen = exact(usable) ?? greedy(usable)
    return (chosen.map(\.id).sorted(), chosen.reduce(0) { $0 + $1.cost })
  }

  private func allows(_ row: Int) -> Bool { request.allows(offers[row]) }

  private func fits(without taken: [Candidate]) -> Bool {
    var freed = offers
    for candidate in taken {
      for place in candidate.places {
        guard let row = rows[place.node] else { continue }
        freed[row].used = freed[row].used - candidate.resources
        freed[row].usedGPUs.subtract(place.gpuIndices)
      }
    }
    return placer.fits(request, on: freed)
  }

  /// Sets in the order of their cost, each once: from a set, the next candidate joins, or takes the
  /// place of the last.
  private func exact(_ sorted: [Candidate]) -> [Candidate]? {
    var open: [(cost: Double, members: [Int])] = sorted.isEmpty ? [] : [(sorted[0].cost, [0])]
    var tries = 0
    while tries < Self.budget {
      guard
        let next = open.indices.min(by: { left, right in
          open[left].cost == open[right].cost
            ? open[left].members.lexicographicallyPrecedes(open[right].members)
            : open[left].cost < open[right].cost
        })
      else { return nil }
      let (cost, members) = open.remove(at: next)
      tries += 1
      let chosen = members.map { sorted[$0] }
      if fits(without: chosen) { return chosen }
      guard let last = members.last, last + 1 < sorted.count else { continue }
      let added = sorted[last + 1].cost
      open.append((cost + added, members + [last + 1]))
      open.append((cost + added - sorted[last].cost, members.dropLast() + [last + 1]))
    }
    return nil
  }

  private func greedy(_ sorted: [Candidate]) -> [Candidate] {
    var chosen: [Candidate] = []
    for candidate in sorted {
      chosen.append(candidate)
      if fits(without: chosen) { break }
    }
    for candidate in chosen.reversed() {
      let others = chosen.filter { $0.id != candidate.id }
      if fits(without: others) { chosen = others }
    }
    return chosen
  }
}
