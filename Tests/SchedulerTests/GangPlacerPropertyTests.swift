import IorunCore
import IorunScheduler
import TestSupport
import Testing

/// What must hold for every cluster and request. A failure prints its seed.
@Suite struct GangPlacerPropertyTests {
  private static let clusters = (UInt64(1)...4000).map(RandomCluster.init(seed:))
  private let placer = GangPlacer()

  @Test func `a gang is placed whole or not at all, on nodes that may be used`() {
    var placed = 0
    for cluster in Self.clusters {
      guard case .placed(let placement) = placer.place(cluster.request, on: cluster.offers) else {
        continue
      }
      placed += 1
      #expect(placement.members.map(\.rank) == Array(0..<cluster.request.ranks), "\(cluster)")
      let usable = Set(cluster.offers.filter(\.isPlaceable).map(\.node))
        .subtracting(cluster.request.excluding)
      #expect(usable.isSuperset(of: placement.members.map(\.node)), "\(cluster)")
    }
    #expect(placed > 400, "the clusters are too hard to test anything")
  }

  @Test func `no node is given more than it has left`() {
    for cluster in Self.clusters {
      guard case .placed(let placement) = placer.place(cluster.request, on: cluster.offers) else {
        continue
      }
      for offer in cluster.offers {
        let ranks = placement.members.count { $0.node == offer.node }
        if ranks == 0 { continue }
        var used = offer.used
        // Wrong bookkeeping may have more CPUs used than there are: fair for who asks for none.
        if cluster.request.resources.milliCPUs == 0 { used.milliCPUs = 0 }
        let taken = (0..<ranks).reduce(used) { sum, _ in sum + cluster.request.resources }
        #expect(offer.capacity.covers(taken), "\(cluster), \(offer.name)")
      }
    }
  }

  @Test func `each rank gets free GPUs of its model, and no GPU goes to two`() {
    for cluster in Self.clusters where cluster.request.resources.gpus > 0 {
      guard case .placed(let placement) = placer.place(cluster.request, on: cluster.offers) else {
        continue
      }
      for offer in cluster.offers {
        let members = placement.members.filter { $0.node == offer.node }
        let given = members.flatMap(\.gpuIndices)
        #expect(Set(given).count == given.count, "\(cluster)")
        #expect(offer.usedGPUs.isDisjoint(with: given), "\(cluster)")
        #expect(
          members.allSatisfy { $0.gpuIndices.count == cluster.request.resources.gpus },
          "\(cluster)")
        let part = (cluster.request.gpuModel ?? "").lowercased()
        #expect(
          given.allSatisfy {
            part.isEmpty || offer.gpus[$0].model.lowercased().contains(part)
          }, "\(cluster)")
      }
    }
  }

  @Test func `a gang is refused only when the ranks do not fit`() {
    for cluster in Self.clusters {
      guard case .refused = placer.place(cluster.request, on: cluster.offers) else { continue }
      #expect(Self.roomForRanks(cluster) < cluster.request.ranks, "\(cluster)")
    }
  }

  @Test func `the order of the offers changes nothing`() {
    for cluster in Self.clusters {
      var random = SeededGenerator(seed: cluster.seed)
      let first = placer.place(cluster.request, on: cluster.offers)
      let again = placer.place(cluster.request, on: cluster.offers.shuffled(using: &random))
      #expect(first == again, "\(cluster)")
    }
  }

  @Test func `the counts of an explanation add up to the GPUs or nodes seen`() throws {
    var (refused, ofGPUs) = (0, 0)
    for cluster in Self.clusters where !cluster.offers.isEmpty {
      guard case .refused(let refusal) = placer.place(cluster.request, on: cluster.offers) else {
        continue
      }
      refused += 1
      let funnel = try #require(refusal.explanation.split(separator: ";").first)
      let halves = funnel.split(separator: ": ", maxSplits: 1)
      let counted = try #require(refusal.funnel)
      #expect(counted.text == funnel)
      #expect(counted.steps.reduce(counted.left) { $0 + $1.count } == counted.seen, "\(cluster)")
      #expect(counted.steps.allSatisfy { $0.count > 0 })
      let gpus = cluster.request.resources.gpus
      if gpus > 0 {
        ofGPUs += 1
        #expect(counted.noun == "GPU")
        #expect(counted.seen == cluster.offers.reduce(0) { $0 + $1.gpus.count })
        #expect(counted.needed == cluster.request.ranks * gpus)
        #expect(counted.left % gpus == 0, "whole ranks: \(cluster): \(funnel)")
      } else {
        #expect(counted.noun == "node" && counted.seen == cluster.offers.count)
      }
      guard counted.seen > 0 else { continue }
      let seen = try #require(Int(halves[0].prefix { $0.isNumber }))
      var counts = halves[1].split(separator: ", ").compactMap { Int($0.prefix { $0.isNumber }) }
      // What is needed is no part of what was seen.
      if gpus > 0 { counts.removeLast() }
      #expect(counts.reduce(0, +) == seen, "\(cluster): \(refusal.explanation)")
    }
    #expect(refused > 400 && ofGPUs > 200, "the clusters are too easy to test anything")
  }

  @Test func `fitsWhenIdle is true exactly when the gang fits with nothing in use`() {
    for cluster in Self.clusters {
      guard case .refused(let refusal) = placer.place(cluster.request, on: cluster.offers) else {
        continue
      }
      var idle = cluster
      for index in idle.offers.indices {
        idle.offers[index].used = ResourceSet()
        idle.offers[index].usedGPUs = []
      }
      var fits = false
      if case .placed = placer.place(idle.request, on: idle.offers) { fits = true }
      #expect(refusal.fitsWhenIdle == fits, "\(cluster): \(refusal.explanation)")
    }
  }

  @Test func `the change that a refusal advises makes the gang fit`() throws {
    var tried = 0
    for cluster in Self.clusters {
      guard case .refused(let refusal) = placer.place(cluster.request, on: cluster.offers),
        let changed = Self.follow(refusal.explanation, cluster.request)
      else { continue }
      tried += 1
      var offers = cluster.offers
      if !refusal.fitsWhenIdle {
        for index in offers.indices {
          offers[index].used = ResourceSet()
          offers[index].usedGPUs = []
        }
      }
      guard case .placed = placer.place(changed, on: offers) else {
        Issue.record("\(cluster): \(refusal.explanation)")
        continue
      }
    }
    #expect(tried > 200)
  }

  /// How many ranks fit, counted one by one and without the placer's arithmetic.
  private static func roomForRanks(_ cluster: RandomCluster) -> Int {
    let request = cluster.request
    let part = (request.gpuModel ?? "").lowercased()
    var ranks = 0
    for offer in cluster.offers
    where offer.isPlaceable && !request.excluding.contains(offer.node) {
      var used = offer.used
      var gpus = offer.gpus.indices.count {
        !offer.usedGPUs.contains($0)
          && (part.isEmpty || offer.gpus[$0].model.lowercased().contains(part))
      }
      while ranks < request.ranks {
        used = used + request.resources
        gpus -= request.resources.gpus
        // A node that is overcommitted in a resource of which nothing is asked may still be used.
        let fits =
          (request.resources.milliCPUs == 0 || used.milliCPUs <= offer.capacity.milliCPUs)
          && used.memory <= offer.capacity.memory && used.disk <= offer.capacity.disk && gpus >= 0
        if !fits { break }
        ranks += 1
      }
    }
    return ranks
  }

  /// The request changed as `lower KEY to VALUE` says; `nil` where the text says no such thing. A
  /// value that cannot be read becomes one that never fits.
  private static func follow(_ explanation: String, _ request: GangRequest) -> GangRequest? {
    guard let start = explanation.firstRange(of: "lower ")?.upperBound else { return nil }
    let words = explanation[start...].split(separator: " ", maxSplits: 2)
    var changed = request
    switch words[0] {
    case "ranks": changed.ranks = Int(words[2]) ?? -1
    case "gpus": changed.resources.gpus = Int(words[2]) ?? -1
    case "cpus": changed.resources.milliCPUs = Int(((Double(words[2]) ?? -1) * 1000).rounded())
    case "memory": changed.resources.memory = Bytes(String(words[2])) ?? Bytes(.max)
    case "disk": changed.resources.disk = Bytes(String(words[2])) ?? Bytes(.max)
    default: return nil
    }
    return changed
  }
}
