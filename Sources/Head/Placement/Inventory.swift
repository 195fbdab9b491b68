internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The nodes and what is held of them, in the scheduler's words.
struct Inventory: Sendable {
  var nodes: [NodeSnapshot]
  var holdings: [PeerID: Holding]
  /// How far they are from each other.
  var sites = NodeSites()
  /// What else is known of them.
  var standings: [PeerID: NodeStanding] = [:]

  /// What is usually asked for; `nil` where no node has GPUs.
  var packing: PackingScore?

  /// Places gangs on these nodes.
  var placer: GangPlacer { GangPlacer(sites: sites, packing: packing) }

  /// Offers of all nodes; those that are `placeable` may be given work.
  func offers(placeable: (NodeSnapshot) -> Bool) -> [NodeOffer] {
    nodes.map { node in
      NodeOffer(
        node, holdings[node.id] ?? Holding(), standing(of: node), isPlaceable: placeable(node))
    }
  }

  /// What is known of a node beside its room.
  func standing(of node: NodeSnapshot) -> NodeStanding {
    standings[node.id] ?? NodeStanding(supplier: node.id.description)
  }

  /// What a spec asks of the scheduler on these nodes.
  func request(
    _ spec: JobSpec, of owner: JobOwner, ranks: Int? = nil, excluding: Set<PeerID> = []
  ) -> GangRequest {
    var request = Self.request(spec, ranks: ranks ?? spec.gang.ranks, excluding: excluding)
    request.barred = barred(spec, owner)
    return request
  }

  /// The same without the nodes that the spec's own terms leave out.
  static func request(_ spec: JobSpec, ranks: Int, excluding: Set<PeerID>) -> GangRequest {
    let terms = spec.gang.terms
    return GangRequest(
      ranks: ranks, resources: spec.gang.resources,
      gpuModel: spec.gang.gpuModel, placement: spec.gang.placement ?? .spread,
      excluding: excluding, fallbacks: terms?.fallbacks ?? [],
      limits: GangDemand.Limits(
        perSupplier: terms?.mostRanksPerSupplier, perCountry: terms?.mostRanksPerRegion))
  }

  /// A refusal of the spec on these offers, with the nearest changes of the spec's own terms beside
  /// those of its size: each is tried by the same decision.
  func explained(
    _ refusal: PlacementRefusal, of spec: JobSpec, by owner: JobOwner, on offers: [NodeOffer]
  ) -> PlacementRefusal {
    var explained = refusal
    explained.changes =
      TermRelaxations(
        spec: spec, owner: owner, inventory: self, offers: offers,
        whenIdle: !refusal.fitsWhenIdle
      ).changes + refusal.changes
    return explained
  }

  /// The nodes that the spec's own terms leave out, and why.
  private func barred(_ spec: JobSpec, _ owner: JobOwner) -> [PeerID: String] {
    let filter = PlacementFilter(
      spec, owner: owner, enforcesProofs: nodes.contains(where: \.lacksProofs),
      hasBareNodes: nodes.contains { !$0.facts.takesStrangers })
    guard filter.asksAnything else { return [:] }
    var barred: [PeerID: String] = [:]
    for node in nodes { barred[node.id] = filter.objection(to: node, standing(of: node)) }
    return barred
  }

  /// The offers of this moment.
  var offers: [NodeOffer] { offers(placeable: \.isPlaceable) }

  /// The answer that decides whether a new job is refused: would it fit here at all? A node that is
  /// silent for a moment still counts. `nil` where it would, and where no node is alive to judge by.
  func refusal(of spec: JobSpec, by owner: JobOwner) -> PlacementRefusal? {
    guard nodes.contains(where: { $0.state == .alive }) else { return nil }
    let offers = offers { $0.state.mayComeBack && !$0.isDrained }
    guard
      case .refused(let refusal) = placer.place(
        request(spec, of: owner), on: offers),
      !refusal.fitsWhenIdle
    else { return nil }
    return explained(refusal, of: spec, by: owner, on: offers)
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
