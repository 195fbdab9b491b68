public import IorunCore

/// The nodes of a live network and what is free of them, kept change by change, and the decision of
/// `GangPlacer` on them: the same answers, for a part of the work.
///
/// For each kind of rank that is asked for, it keeps which nodes have room and how well they suit it
/// (`NodeRanking`). A node that changes is looked at again once by each kind, when that is asked for next,
/// and a search passes by 64 nodes at once where none of them can be better (`SeatOrder`).
public struct NodeInventory: Sendable {
  /// What the ranks of a gang ask of a node. Requests with equal questions share a ranking.
  struct Question: Hashable, Sendable {
    var resources: ResourceSet
    var gpuModel: String
    /// Which nodes are barred, by the caller's number.
    var terms: Int
  }

  /// All nodes, by name and then by id: a node's place here is its row.
  public private(set) var offers: [NodeOffer] = []
  /// How far they are from each other, for gangs that ask for it.
  public var sites = NodeSites()
  /// What leftovers are good for; `nil` where nothing is known of that.
  public var packing: PackingScore? { ranked.packing.score }

  private var rows: [PeerID: Int] = [:]
  private var told = NodeTellings()
  private var ranked = NodeRankings()
  private var placed: SiteRows?

  /// An inventory without nodes.
  public init() {}

  /// An inventory of these nodes; of one that is listed twice the last counts.
  public init(_ offers: [NodeOffer], sites: NodeSites = NodeSites(), packing: PackingScore? = nil) {
    self.sites = sites
    ranked = NodeRankings(packing: packing)
    update(offers)
  }

  /// The decision from scratch, for answers with all their words.
  public var placer: GangPlacer { GangPlacer(sites: sites, packing: packing) }

  /// A node as it is now; `nil` where it is not in it.
  public func offer(of node: PeerID) -> NodeOffer? { rows[node].map { offers[$0] } }

  func row(of node: PeerID) -> Int? { rows[node] }

  /// Where the rows are, and the round trips of at least so many sites.
  mutating func siteRows(sites count: Int) -> (rows: SiteRows, matrix: LatencyMatrix) {
    var known = placed?.of(sites) ?? SiteRows(offers, sites)
    let matrix = known.matrix(ofAtLeast: count)
    placed = known
    return (known, matrix)
  }

  /// The rows that terms allow, as of the last order for them.
  func allowed(terms: Int) -> RowSet? { ranked.allowed(terms: terms) }

  /// Nodes joined, changed or left. One that is told again without a change is judged anew, because what
  /// bars it may have changed.
  public mutating func update(_ changed: [NodeOffer], removing: [PeerID] = []) {
    var joined: [PeerID: NodeOffer] = [:]
    var left = Set(removing.filter { rows[$0] != nil })
    for offer in changed {
      if let row = rows[offer.node], offers[row].name == offer.name, !left.contains(offer.node) {
        told.note(row)
        guard offers[row] != offer else { continue }
        offers[row] = offer
        ranked.noteNode(row, offer)
      } else {
        joined[offer.node] = offer
        if rows[offer.node] != nil { left.insert(offer.node) }
      }
    }
    guard !joined.isEmpty || !left.isEmpty else { return }
    rearrange(Array(joined.values), without: left)
  }

  /// What the leases on a node hold together; nothing changes where that is known.
  public mutating func setUsed(_ resources: ResourceSet, gpus: Set<Int>, on node: PeerID) {
    guard let row = rows[node], offers[row].used != resources || offers[row].usedGPUs != gpus
    else { return }
    offers[row].used = resources
    offers[row].usedGPUs = gpus
    ranked.noteUse(row, offers[row])
  }

  /// A rank takes these resources and these of the GPUs of a node.
  public mutating func take(_ resources: ResourceSet, gpus: some Sequence<Int>, on node: PeerID) {
    guard let row = rows[node] else { return }
    offers[row].take(resources, gpus: gpus)
    ranked.noteUse(row, offers[row])
  }

  /// A rank gives them back.
  public mutating func release(
    _ resources: ResourceSet, gpus: some Sequence<Int>, on node: PeerID
  ) {
    guard let row = rows[node] else { return }
    offers[row].release(resources, gpus: gpus)
    ranked.noteUse(row, offers[row])
  }

  /// The mix that leftovers are judged by has changed: each ranking is scored anew when it is asked for.
  public mutating func setPacking(_ packing: PackingScore?) {
    ranked.setPacking(packing, offers)
  }

  /// In which order nodes are given a request's ranks.
  ///
  /// - Parameters:
  ///   - terms: the caller's number of what bars nodes.
  ///   - bars: which nodes the terms leave out.
  mutating func order(
    for request: GangRequest, terms: Int, bars: (NodeOffer) -> Bool
  ) -> SeatOrder {
    let question = Question(
      resources: request.resources, gpuModel: (request.gpuModel ?? "").lowercased(), terms: terms)
    let (ranking, rooms) = ranked.ranking(question, told, offers, bars: bars)
    return SeatOrder(
      ranking, rooms, excluded: Set(request.excluding.compactMap(row(of:))),
      packs: packing != nil && request.ranks == 1)
  }

  /// Puts nodes in and takes nodes out; what is known of the others moves with them.
  private mutating func rearrange(_ joined: [NodeOffer], without left: Set<PeerID>) {
    func isBefore(_ one: NodeOffer, _ other: NodeOffer) -> Bool {
      (one.name, one.node) < (other.name, other.node)
    }
    let joined = joined.sorted(by: isBefore)
    // By new row: the row before, or -1.
    var before: [Int] = []
    var merged: [NodeOffer] = []
    before.reserveCapacity(offers.count + joined.count)
    merged.reserveCapacity(offers.count + joined.count)
    var next = 0
    for (row, offer) in offers.enumerated() where left.isEmpty || !left.contains(offer.node) {
      while next < joined.count, isBefore(joined[next], offer) {
        merged.append(joined[next])
        before.append(-1)
        next += 1
      }
      merged.append(offer)
      before.append(row)
    }
    merged += joined[next...]
    before += repeatElement(-1, count: joined.count - next)
    let move = RowMove(before)
    ranked.move(move, leaving: left.compactMap { rows[$0] }.sorted())
    told.move(move)
    offers = merged
    placed = nil
    rows = Dictionary(offers.enumerated().map { ($1.node, $0) }) { first, _ in first }
    for row in before.indices where before[row] < 0 {
      told.note(row)
      ranked.noteNode(row, offers[row])
    }
  }
}
