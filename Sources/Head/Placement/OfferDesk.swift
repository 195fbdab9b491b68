internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// Ways to run a job on the nodes of this moment: the offers of `OfferSearch`, in the contract's words.
struct OfferDesk {
  let inventory: Inventory

  /// Offers by price; none where the job does not fit.
  func offers(_ spec: JobSpec) throws -> [PlacementOffer] {
    var devices = DeviceInventory()
    let unable = GangRequest.unable(spec, inventory.nodes)
      .union(GangRequest.unproved(spec, inventory.nodes))
    for node in inventory.nodes where node.isPlaceable && !unable.contains(node.id) {
      guard let offer = Self.offer(node, gpuModel: spec.gang.gpuModel) else { continue }
      let row = try devices.add(offer)
      let held = inventory.holdings[node.id]?.resources ?? ResourceSet()
      try devices.take(held.clamped(to: offer.capacity), at: row)
      devices.locate(
        row, site: inventory.sites.siteOf[node.id], hasDoubtfulPlace: false)
    }
    let planner = GangPlanner(devices, matrix: inventory.sites.matrix)
    let names = Dictionary(uniqueKeysWithValues: inventory.nodes.map { ($0.id, $0.facts.name) })
    return OfferSearch(planner).offers(Self.demand(spec)).map { Self.offer($0, names) }
  }

  private static func demand(_ spec: JobSpec) -> GangDemand {
    let strategy: GangDemand.Strategy =
      switch spec.gang.placement {
      case nil, .spread: .spread
      case .pack: .pack
      case .strictPack: .strictPack
      case .strictSpread: .strictSpread
      case .site(nil): .closest
      case .site(let limit?): .site(maxRTTMilliseconds: Float(limit))
      }
    let bundle = GangDemand.Bundle(count: spec.gang.ranks, need: spec.gang.resources)
    return GangDemand(bundles: [bundle], strategy: strategy)
  }

  /// A node's devices; those that the job does not want are left out. `nil` for a node that has nothing.
  private static func offer(_ node: NodeSnapshot, gpuModel: String?) -> DeviceOffer? {
    let part = (gpuModel ?? "").lowercased()
    let gpus = node.facts.gpus.filter { part.isEmpty || $0.model.lowercased().contains(part) }
    var capacity = node.facts.capacity
    capacity.gpus = gpus.count
    guard capacity.gpus > 0 || capacity.milliCPUs > 0 else { return nil }
    return DeviceOffer(
      id: node.id, supplier: node.id.description, hardware: gpus.isEmpty ? .cpu : .dataCentre,
      model: gpus.first?.model ?? "", deviceMemory: gpus.map(\.memory).min() ?? .zero,
      capacity: capacity)
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
