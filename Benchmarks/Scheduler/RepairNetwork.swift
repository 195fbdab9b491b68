import IorunCore
import IorunScheduler

/// A network of equal nodes over sites, with gangs on it: what `SchedulerBench repair` loses a part of.
struct RepairNetwork {
  /// What each rank takes.
  static let rank = ResourceSet(milliCPUs: 1000, gpus: 1)

  private(set) var inventory: NodeInventory
  private let matrix: LatencyMatrix
  /// Free devices by site: a node and an index on it.
  private var free: [[(node: PeerID, gpu: Int)]]

  init(devices: Int, perNode: Int, matrix: LatencyMatrix, random: inout SplitMix64) {
    self.matrix = matrix
    free = Array(repeating: [], count: matrix.count)
    var siteOf: [PeerID: Int] = [:]
    var offers: [NodeOffer] = []
    for index in 0..<(devices + perNode - 1) / perNode {
      let count = min(perNode, devices - index * perNode)
      let node = PeerID(high: UInt64(index), low: random.next())
      let site = Int.random(in: 0..<matrix.count, using: &random)
      siteOf[node] = site
      free[site] += (0..<count).map { (node, $0) }
      offers.append(
        NodeOffer(
          node: node, name: "node-\(index)",
          capacity: ResourceSet(milliCPUs: count * 4000, gpus: count),
          gpus: (0..<count).map {
            NodeFacts.GPU(model: "NVIDIA A100", uuid: "GPU-\(index)-\($0)", memory: .gibi(40))
          }, used: ResourceSet(), usedGPUs: [], isPlaceable: true,
          supplier: "supplier-\(index % 50)"))
    }
    inventory = NodeInventory(offers, sites: NodeSites(siteOf: siteOf, matrix: matrix))
  }

  /// Gangs of 1 to 256 devices, each from the sites nearest to some site. What they may do after a loss
  /// goes in turn.
  mutating func fill(_ devices: Int, random: inout SplitMix64) -> [GangMending] {
    let policies: [PlacementTerms.OnLoss] = [.replace, .degrade, .shrink, .migrate]
    var gangs: [GangMending] = []
    var open = devices
    while open > 0 {
      let size = min(open, 1 << Int.random(in: 0...8, using: &random))
      let home = Int.random(in: 0..<matrix.count, using: &random)
      let order = free.indices.sorted { (matrix[home, $0], $0) < (matrix[home, $1], $1) }
      var seats: [GangMending.Seat] = []
      var members: [Int] = []
      for site in order where seats.count < size && !free[site].isEmpty {
        members.append(site)
        let count = min(size - seats.count, free[site].count)
        for place in free[site].suffix(count) {
          inventory.take(Self.rank, gpus: [place.gpu], on: place.node)
          seats.append(
            GangMending.Seat(rank: seats.count, node: place.node, gpuIndices: [place.gpu]))
        }
        free[site].removeLast(count)
      }
      open -= size
      let limit = max(5, matrix.longest(among: members) * 1.1)
      gangs.append(
        GangMending(
          request: GangRequest(
            ranks: size, resources: Self.rank,
            placement: .site(maxRoundTripMilliseconds: Double(limit))),
          seats: seats, lostNodes: [], maxRTTMilliseconds: limit,
          onLoss: policies[gangs.count % policies.count]))
    }
    return gangs
  }

  /// Loses so many of the nodes.
  ///
  /// - Returns: the gangs that it hit.
  mutating func lose(
    percent: Double, _ gangs: [GangMending], random: inout SplitMix64
  ) -> [GangMending] {
    let lost = inventory.offers.filter { _ in Double.random(in: 0..<100, using: &random) < percent }
    inventory.update(
      lost.map { offer in
        var offer = offer
        offer.isPlaceable = false
        return offer
      })
    let nodes = Set(lost.map(\.node))
    return gangs.compactMap { gang in
      let hit = Set(gang.seats.map(\.node)).intersection(nodes).sorted()
      guard !hit.isEmpty else { return nil }
      return GangMending(
        request: gang.request, seats: gang.seats.filter { !nodes.contains($0.node) },
        lostNodes: hit, maxRTTMilliseconds: gang.maxRTTMilliseconds, onLoss: gang.onLoss)
    }
  }
}
