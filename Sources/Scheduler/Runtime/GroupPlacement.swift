public import IorunCore

/// Chooses a node for each bundle of a placement group, all or none: values in, a decision out.
public struct GroupPlacement: Sendable {
  /// How bundles lie to each other.
  public enum Strategy: Sendable, Hashable {
    /// On as few nodes as possible.
    case pack
    /// On as many nodes as possible.
    case spread
    /// All on one node.
    case strictPack
    /// Each on a node of its own.
    case strictSpread
    /// On nodes whose round trips to each other are at most so long. What two nodes say to each other
    /// is relayed by the head: their round trip is the sum of both nodes' round trips to it.
    case site(maxRoundTripMilliseconds: Double)
  }

  /// What is asked for.
  public struct Request: Sendable, Hashable {
    /// What each bundle reserves.
    public var bundles: [ResourceAmounts]
    /// A selector a bundle; empty for any node.
    public var selectors: [LabelSelector]
    /// How they lie to each other.
    public var strategy: Strategy
    /// Bundles that have their node already (the others were lost); empty for none.
    public var fixed: [NodeID?]

    /// Describes a request.
    public init(
      bundles: [ResourceAmounts], selectors: [LabelSelector] = [], strategy: Strategy,
      fixed: [NodeID?] = []
    ) {
      self.bundles = bundles
      self.selectors = selectors
      self.strategy = strategy
      self.fixed = fixed
    }

    func mayUse(_ node: RuntimeNode, for bundle: Int) -> Bool {
      guard node.isPlaceable, node.bar == nil else { return false }
      return bundle < selectors.count ? selectors[bundle].matches(node.labels) : true
    }

    func fixedNode(_ bundle: Int) -> NodeID? { bundle < fixed.count ? fixed[bundle] : nil }
  }

  /// What was decided.
  public enum Decision: Sendable, Hashable {
    /// A node for each bundle.
    case place([NodeID])
    /// It fits when what runs has ended.
    case wait
    /// No set of these nodes could ever hold it; why, and what to change.
    case infeasible(String)
  }

  /// How many tries a search may take: bin packing is hard, and a placement must be quick. Beyond it
  /// a group may be called infeasible that a longer search would have placed.
  static let searchLimit = 20_000

  /// Makes a placement; it keeps nothing between calls.
  public init() {}

  /// Finds nodes for all bundles, in whatever order the nodes come.
  public func place(_ request: Request, on nodes: [RuntimeNode]) -> Decision {
    if let placed = placeNow(request, on: nodes) { return .place(placed) }
    let nodes = Self.ordered(nodes)
    // What its own fixed bundles hold counts as free on an idle node: they are part of the request.
    if assign(request, nodes, room: \.total) != nil { return .wait }
    return .infeasible(InfeasibleGroup(request: request, nodes: nodes).explanation)
  }

  /// The same without the reason: `nil` where it does not fit now.
  public func placeNow(_ request: Request, on nodes: [RuntimeNode]) -> [NodeID]? {
    assign(request, Self.ordered(nodes), room: \.available)
  }

  private static func ordered(_ nodes: [RuntimeNode]) -> [RuntimeNode] {
    nodes.sorted { ($0.name, $0.node) < ($1.name, $1.node) }
  }

  /// A node for each bundle, by the room that `room` says; `nil` where they do not all find one.
  private func assign(
    _ request: Request, _ nodes: [RuntimeNode], room: KeyPath<RuntimeNode, ResourceAmounts>
  ) -> [NodeID]? {
    var rooms = nodes.map { $0[keyPath: room] }
    // `available` is without the fixed bundles already; `total` is not.
    if room == \RuntimeNode.total {
      for bundle in request.bundles.indices {
        guard let fixed = request.fixedNode(bundle),
          let index = nodes.firstIndex(where: { $0.node == fixed })
        else { continue }
        rooms[index] -= request.bundles[bundle]
      }
    }
    let search = BundleSearch(request: request, nodes: nodes, rooms: rooms)
    switch request.strategy {
    case .pack: return search.packed(among: Array(nodes.indices))
    case .spread: return search.spread()
    case .strictPack: return search.onOneNode(among: Array(nodes.indices))
    case .strictSpread: return search.eachOnItsOwn()
    case .site(let limit):
      for site in Self.sites(nodes, limit: limit, fixed: Set(request.fixed.compactMap(\.self))) {
        if let found = search.packed(among: site) { return found }
      }
      return nil
    }
  }

  /// Sets of nodes, as large as they may be, within each of which every two are at most `limit`
  /// apart: the nearest nodes up to where the two farthest of them are too far apart, and the same
  /// with one farther node in place of some of them. A node alone is a site of its own.
  private static func sites(_ nodes: [RuntimeNode], limit: Double, fixed: Set<NodeID>) -> [[Int]] {
    func reach(_ index: Int) -> Double { nodes[index].roundTripMilliseconds ?? .infinity }
    let order = nodes.indices.sorted { (reach($0), $0) < (reach($1), $1) }
    var sites: [[Int]] = []
    for (last, farthest) in order.enumerated() {
      let near = order[..<last].prefix { reach($0) + reach(farthest) <= limit }
      let site = near + [farthest]
      guard fixed.isSubset(of: site.map { nodes[$0].node }) else { continue }
      sites.append(Array(site))
    }
    // The largest first; among equals the nearest.
    return sites.enumerated()
      .sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
      .map(\.element)
  }
}
