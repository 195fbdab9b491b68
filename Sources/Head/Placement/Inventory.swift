internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// What all leases of one node hold together.
struct Holding: Sendable, Hashable {
  var resources = ResourceSet()
  var gpus: Set<Int> = []
  var leases = 0
}

/// The nodes and what is held of them, in the scheduler's words.
struct Inventory: Sendable {
  var nodes: [NodeSnapshot]
  var holdings: [PeerID: Holding]
  /// How far they are from each other.
  var sites = NodeSites()

  /// Places gangs on these nodes.
  var placer: GangPlacer { GangPlacer(sites: sites) }

  /// Offers of all nodes; those that are `placeable` may be given work.
  func offers(placeable: (NodeSnapshot) -> Bool) -> [NodeOffer] {
    nodes.map { node in
      let holding = holdings[node.id] ?? Holding()
      return NodeOffer(
        node: node.id, name: node.facts.name, capacity: node.facts.capacity, gpus: node.facts.gpus,
        used: holding.resources, usedGPUs: holding.gpus, isPlaceable: placeable(node))
    }
  }

  /// The offers of this moment.
  var offers: [NodeOffer] { offers(placeable: \.isPlaceable) }

  /// The answer that decides whether a new job is refused: would it fit here at all? A node that is
  /// silent for a moment still counts. `nil` where there is no node alive to judge by.
  func verdict(on request: GangRequest) -> PlacementResult? {
    guard nodes.contains(where: { $0.state == .alive }) else { return nil }
    return placer.place(
      request, on: offers { $0.state.mayComeBack && !$0.isDrained })
  }

  /// What alive nodes offer, and what of it is free.
  var totals: (capacity: ResourceSet, free: ResourceSet) {
    nodes.filter { $0.state == .alive }.reduce((ResourceSet(), ResourceSet())) { sum, node in
      (sum.0 + node.facts.capacity, sum.1 + free(of: node))
    }
  }

  /// What is not leased of one node.
  func free(of node: NodeSnapshot) -> ResourceSet {
    node.facts.capacity - (holdings[node.id]?.resources ?? ResourceSet())
  }
}

extension NodeSnapshot {
  /// True where it may be given work now.
  var isPlaceable: Bool { state == .alive && !isDraining && takesWork }

  /// True where neither an operator nor its owner keeps new work from it.
  var takesWork: Bool { !isDrained && ownerHold == nil }
}

extension GangRequest {
  /// The nodes that cannot run a job which wants a network of its gang's own.
  static func unable(_ spec: JobSpec, _ nodes: some Sequence<NodeSnapshot>) -> Set<PeerID> {
    guard spec.network == .gang else { return [] }
    return Set(nodes.lazy.filter { !$0.facts.canJoinGangNetworks }.map(\.id))
  }

  /// What a spec asks of the scheduler.
  init(_ spec: JobSpec, excluding: Set<PeerID> = []) {
    self.init(
      ranks: spec.gang.ranks, resources: spec.gang.resources, gpuModel: spec.gang.gpuModel,
      placement: spec.gang.placement ?? .spread, excluding: excluding)
  }
}
