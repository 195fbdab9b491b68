internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// Ways to run a job on the nodes of this moment: the offers of `OfferSearch`, in the contract's words.
struct OfferDesk {
  let inventory: Inventory

  /// Offers by price; none where the job does not fit.
  func offers(_ spec: JobSpec) throws -> [PlacementOffer] {
    var devices = DeviceInventory()
    let barred = inventory.request(spec).barred
    for node in inventory.nodes where node.isPlaceable && barred[node.id] == nil {
      let standing = inventory.standing(of: node)
      guard let offer = Self.offer(node, standing, spec) else { continue }
      let row = try devices.add(offer)
      let held = inventory.holdings[node.id]?.resources ?? ResourceSet()
      try devices.take(held.clamped(to: offer.capacity), at: row)
      devices.locate(
        row, site: inventory.sites.siteOf[node.id],
        hasDoubtfulPlace: standing.placeDoubt != nil)
    }
    let planner = GangPlanner(devices, matrix: inventory.sites.matrix)
    let names = Dictionary(uniqueKeysWithValues: inventory.nodes.map { ($0.id, $0.facts.name) })
    return OfferSearch(planner).offers(Self.demand(spec)).map { Self.offer($0, names) }
  }

  private static func demand(_ spec: JobSpec) -> GangDemand {
    let bundle = GangDemand.Bundle(count: spec.gang.ranks, need: spec.gang.resources)
    let terms = spec.gang.terms
    return GangDemand(
      bundles: [bundle], strategy: strategy(spec.gang.placement ?? .spread),
      fallbacks: (terms?.fallbacks ?? []).map(strategy),
      limits: GangDemand.Limits(
        perSupplier: terms?.mostRanksPerSupplier, perCountry: terms?.mostRanksPerRegion))
  }

  private static func strategy(_ strategy: GangStrategy) -> GangDemand.Strategy {
    switch strategy {
    case .spread: .spread
    case .pack: .pack
    case .strictPack: .strictPack
    case .strictSpread: .strictSpread
    case .site(nil): .closest
    case .site(let limit?): .site(maxRTTMilliseconds: Float(limit))
    }
  }

  /// A node's devices; those that the job does not want are left out. `nil` for a node that has nothing.
  private static func offer(
    _ node: NodeSnapshot, _ standing: NodeStanding, _ spec: JobSpec
  ) -> DeviceOffer? {
    let part = (spec.gang.gpuModel ?? "").lowercased()
    let wantsGPUs = spec.gang.resources.gpus > 0
    let gpus = node.facts.gpus.filter { part.isEmpty || $0.model.lowercased().contains(part) }
    var capacity = node.facts.capacity
    // A job that wants no GPU pays for cores: the machine then counts as one without.
    capacity.gpus = wantsGPUs ? gpus.count : 0
    guard capacity.gpus > 0 || capacity.milliCPUs > 0 else { return nil }
    return DeviceOffer(
      id: node.id, supplier: standing.supplier, hardware: capacity.gpus == 0 ? .cpu : .dataCentre,
      model: wantsGPUs ? gpus.first?.model ?? "" : "",
      deviceMemory: wantsGPUs ? gpus.map(\.memory).min() ?? .zero : .zero, capacity: capacity,
      place: DevicePlace(country: standing.region),
      microdollarsPerHour: Int(standing.price(of: spec, on: node).rounded()),
      reliability: standing.reliability)
  }

  private static func offer(_ offer: GangOffer, _ names: [PeerID: String]) -> PlacementOffer {
    let counts = Dictionary(grouping: offer.choice.members, by: \.device).mapValues(\.count)
    let longest = offer.choice.maxRTTMilliseconds
    return PlacementOffer(
      shares: counts.map { .init(node: $0, nodeName: names[$0] ?? $0.short, ranks: $1) }
        .sorted { ($0.nodeName, $0.node) < ($1.nodeName, $1.node) },
      longestRoundTripMilliseconds: longest.isFinite ? Double(longest) : nil,
      leastRoundTripMilliseconds: Double(offer.choice.lowerBoundMilliseconds),
      microdollarsPerHour: offer.choice.microdollarsPerHour,
      reliability: offer.choice.reliability, words: offer.words, reasons: offer.choice.reasons)
  }
}

extension ResourceSet {
  /// Not more of anything than `limit`, and not less than nothing.
  fileprivate func clamped(to limit: ResourceSet) -> ResourceSet {
    ResourceSet(
      milliCPUs: min(max(0, milliCPUs), limit.milliCPUs), gpus: min(max(0, gpus), limit.gpus),
      memory: min(memory, limit.memory.wholeMebibytes),
      disk: min(disk, limit.disk.wholeMebibytes))
  }
}

extension Bytes {
  /// Rounded down, as an inventory keeps it.
  fileprivate var wholeMebibytes: Bytes { .mebi(rawValue >> 20) }
}
