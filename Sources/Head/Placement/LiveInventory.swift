internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// What placement knows of the network, kept from change to change: nodes, whose they are and where, and
/// the scheduler's inventory of them. A round of placement costs what has changed since the one before,
/// not a look at every node.
struct LiveInventory: Sendable {
  /// The nodes as they were when something last changed that placement looks at.
  private(set) var nodes: [PeerID: NodeSnapshot] = [:]
  /// The nodes that were told last: only of these is the time of their silence of this moment.
  private(set) var fresh: Set<PeerID> = []
  private(set) var standings: [PeerID: NodeStanding] = [:]
  /// What alive nodes offer together.
  private(set) var capacity = ResourceSet()
  /// The GPU models of nodes, and how many nodes have each.
  private(set) var models: [String: Int] = [:]
  /// How many nodes take their owners' work alone.
  private var bareNodes = 0
  private(set) var book = NodeInventory()

  private var doubts: [PeerID: String] = [:]
  private var tiers: [PeerID: ConnectivityTier] = [:]
  private var terms: [NodeTerms: (number: Int, filter: PlacementFilter)] = [:]
  private var nextTerms = 1
  private static let mostTerms = 4096

  /// What happened in the network since it was last told.
  struct News: Sendable {
    /// Nodes that changed.
    var nodes: [NodeSnapshot] = []
    /// Nodes that were asked about, changed or not.
    var asked: Set<PeerID> = []
    /// Nodes of which the owner or the ticket's labels may have changed.
    var peers: Set<PeerID> = []
    var sites = NodeSites()
    var doubts: [PeerID: String] = [:]
    var tiers: [PeerID: ConnectivityTier] = [:]
  }

  /// Takes in what happened.
  ///
  /// - Parameters:
  ///   - held: what leases hold of nodes.
  ///   - owner: a node's tenant and its ticket's labels.
  mutating func update(
    _ news: News, held: HoldingBook, owner: (PeerID) -> (tenant: String, labels: [String: String])
  ) {
    var changed = news.peers
    for node in news.nodes {
      count(nodes[node.id], sign: -1)
      nodes[node.id] = node
      count(node, sign: 1)
      changed.insert(node.id)
    }
    fresh = news.asked.union(news.nodes.map(\.id))
    changed.formUnion(Self.differing(doubts, news.doubts))
    changed.formUnion(Self.differing(tiers, news.tiers))
    (doubts, tiers) = (news.doubts, news.tiers)
    book.sites = news.sites
    book.update(
      changed.compactMap { id in
        guard let node = nodes[id] else { return nil }
        let (tenant, labels) = owner(id)
        let standing = NodeStanding(
          node, supplier: tenant, vouched: labels, placeDoubt: doubts[id],
          tier: tiers[id] ?? .unrated)
        standings[id] = standing
        return NodeOffer(node, held[id], standing, isPlaceable: node.isPlaceable)
      })
  }

  private mutating func count(_ node: NodeSnapshot?, sign: Int) {
    guard let node else { return }
    for model in Set(node.facts.gpus.map(\.model)) {
      let left = models[model, default: 0] + sign
      models[model] = left > 0 ? left : nil
    }
    if !node.facts.takesStrangers { bareNodes += sign }
    guard node.state == .alive else { return }
    capacity = sign > 0 ? capacity + node.facts.capacity : capacity - node.facts.capacity
  }

  /// The keys of which the values are not equal.
  private static func differing<Value: Equatable>(
    _ old: [PeerID: Value], _ new: [PeerID: Value]
  ) -> [PeerID] {
    guard old != new else { return [] }
    return old.keys.filter { old[$0] != new[$0] } + new.keys.filter { old[$0] == nil }
  }

  /// Something else may be held of these nodes than before.
  mutating func recount(_ nodes: Set<PeerID>, held: HoldingBook) {
    for node in nodes { book.setUsed(held[node].resources, gpus: held[node].gpus, on: node) }
  }

  /// What leftovers are judged by.
  mutating func setPacking(_ packing: PackingScore?) { book.setPacking(packing) }

  /// The inventory goes out for a round of placement, which changes it; what is left has none.
  mutating func takeBook() -> NodeInventory {
    defer { book = NodeInventory() }
    return book
  }

  /// The round is over.
  mutating func giveBack(_ book: NodeInventory) { self.book = book }

  /// Whether a job would find places here, now or if no other job ran.
  mutating func mayFit(_ spec: JobSpec, of owner: JobOwner) -> Bool {
    let terms = terms(of: spec, by: owner)
    let request = Inventory.request(spec, ranks: spec.gang.ranks, excluding: [])
    switch book.place(request, terms: terms.number, bars: terms.bars) {
    case .placed: return true
    case .refused(let fitsWhenIdle): return fitsWhenIdle
    }
  }

  /// The number of a spec's terms, and which nodes they leave out.
  mutating func terms(
    of spec: JobSpec, by owner: JobOwner
  ) -> (number: Int, bars: @Sendable (NodeOffer) -> Bool) {
    let key = NodeTerms(spec, owner: bareNodes > 0 ? owner : nil)
    if terms.count > Self.mostTerms { terms = [:] }
    let (number, filter) =
      terms[key]
      ?? (
        nextTerms,
        PlacementFilter(spec, owner: owner, enforcesProofs: true, hasBareNodes: bareNodes > 0)
      )
    if terms[key] == nil {
      terms[key] = (number, filter)
      nextTerms += 1
    }
    guard filter.asksAnything else { return (0, { _ in false }) }
    return (
      number,
      { [nodes, standings] offer in
        guard let node = nodes[offer.node], let standing = standings[offer.node] else {
          return true
        }
        return filter.objection(to: node, standing) != nil
      }
    )
  }

  /// The same as a plain list, for words and for decisions that look at all nodes.
  func plain(_ book: NodeInventory, held: [PeerID: Holding] = [:]) -> Inventory {
    Inventory(
      nodes: book.offers.compactMap { nodes[$0.node] }, holdings: held, sites: book.sites,
      standings: standings, packing: book.packing)
  }
}

extension NodeOffer {
  /// A node in the scheduler's words.
  init(_ node: NodeSnapshot, _ holding: Holding, _ standing: NodeStanding, isPlaceable: Bool) {
    self.init(
      node: node.id, name: node.facts.name, capacity: node.facts.capacity, gpus: node.facts.gpus,
      used: holding.resources, usedGPUs: holding.gpus, isPlaceable: isPlaceable,
      supplier: standing.supplier, region: standing.region)
  }
}
