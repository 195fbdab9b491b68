import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

/// What is kept change by change must be what would be built from scratch. A failure prints its seed.
@Suite("An inventory of nodes that is kept change by change")
struct NodeInventoryTests {
  /// The same network by the simplest means: a dictionary, and `GangPlacer`.
  private struct World {
    var nodes: [PeerID: NodeOffer] = [:]
    var barred: [Int: Set<PeerID>] = [:]
    var inventory = NodeInventory()
    var random: SeededGenerator
    private var next = 0

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    var offers: [NodeOffer] {
      nodes.values.sorted { ($0.name, $0.node) < ($1.name, $1.node) }
    }

    /// One thing happens.
    mutating func step() {
      let known = nodes.keys.sorted()
      switch Int.random(in: 0..<12, using: &random) {
      case 0, 1: join(Int.random(in: 1...4, using: &random))
      case 2: if let node = known.randomElement(using: &random) { leave(node) }
      case 3: if let node = known.randomElement(using: &random) { change(node) }
      case 4: bar(known)
      case 5: setPacking()
      case 6: setSites(known)
      case 7: if let node = known.randomElement(using: &random) { recount(node) }
      default: if let node = known.randomElement(using: &random) { takeOrRelease(node) }
      }
    }

    mutating func join(_ count: Int) {
      var joined: [NodeOffer] = []
      for _ in 0..<count {
        var offer = RandomCluster.offer(next, using: &random)
        next += 1
        // Some share a name, and the order of names is not that of joining.
        offer.name = "n\(Int.random(in: 0..<max(30, count), using: &random))"
        offer.supplier = "s\(Int.random(in: 0..<4, using: &random))"
        offer.region = "r\(Int.random(in: 0..<3, using: &random))"
        nodes[offer.node] = offer
        joined.append(offer)
      }
      inventory.update(joined)
    }

    private mutating func leave(_ node: PeerID) {
      nodes[node] = nil
      inventory.update([], removing: [node])
    }

    private mutating func change(_ node: PeerID) {
      guard var offer = nodes[node] else { return }
      var other = RandomCluster.offer(0, using: &random)
      (other.node, other.name) = (node, offer.name)
      (other.supplier, other.region) = (offer.supplier, offer.region)
      if Bool.random(using: &random) { other.name = "n\(Int.random(in: 0..<30, using: &random))" }
      offer = other
      nodes[node] = offer
      inventory.update([offer])
    }

    private mutating func bar(_ known: [PeerID]) {
      let terms = Int.random(in: 0..<3, using: &random)
      let new = Set(known.filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
      let changed = new.symmetricDifference(barred[terms] ?? [])
      barred[terms] = new
      inventory.update(changed.compactMap { nodes[$0] })
    }

    private mutating func setPacking() {
      var history = PackingHistory()
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let gpus = Int.random(in: 0...4, using: &random)
        history.accepted(
          ranks: Int.random(in: 1...9, using: &random),
          of: ResourceSet(milliCPUs: 1000 * max(1, gpus), gpus: gpus), gpuModel: nil)
      }
      let models = Set(nodes.values.flatMap { $0.gpus.map(\.model) })
      let none = Int.random(in: 0..<3, using: &random) == 0
      inventory.setPacking(none ? nil : PackingScore(history, models: models))
    }

    private mutating func setSites(_ known: [PeerID]) {
      let count = 4
      var values = [Float](repeating: 0, count: count * count)
      for one in 0..<count {
        for other in 0..<one {
          let trip = Float.random(in: 1...100, using: &random)
          values[one * count + other] = trip
          values[other * count + one] = trip
        }
      }
      var siteOf: [PeerID: Int] = [:]
      for node in known where Int.random(in: 0..<8, using: &random) > 0 {
        siteOf[node] = Int.random(in: 0..<count, using: &random)
      }
      inventory.sites = NodeSites(
        siteOf: siteOf, matrix: LatencyMatrix(count: count, milliseconds: values))
    }

    private mutating func recount(_ node: PeerID) {
      guard var offer = nodes[node] else { return }
      offer.usedGPUs = Set(offer.gpus.indices.filter { _ in Bool.random(using: &random) })
      offer.used = ResourceSet(milliCPUs: 500, gpus: offer.usedGPUs.count)
      nodes[node] = offer
      inventory.setUsed(offer.used, gpus: offer.usedGPUs, on: node)
    }

    private mutating func takeOrRelease(_ node: PeerID) {
      let part = ResourceSet(
        milliCPUs: Int.random(in: 0...4, using: &random) * 500, gpus: 1, memory: .gibi(1))
      let gpu = [Int.random(in: 0..<4, using: &random)]
      if Bool.random(using: &random) {
        nodes[node]?.take(part, gpus: gpu)
        inventory.take(part, gpus: gpu, on: node)
      } else {
        nodes[node]?.release(part, gpus: gpu)
        inventory.release(part, gpus: gpu, on: node)
      }
    }

    /// A request, and the number of its terms.
    mutating func request() -> (GangRequest, Int) {
      let strategies: [GangStrategy] = [
        .spread, .pack, .strictPack, .strictSpread, .site(maxRoundTripMilliseconds: nil),
        .site(maxRoundTripMilliseconds: 40),
      ]
      var request = RandomCluster(seed: UInt64.random(in: 1...40, using: &random)).request
      if Int.random(in: 0..<3, using: &random) == 0 { request.ranks = 1 }
      request.placement = strategies.randomElement(using: &random) ?? .spread
      if Int.random(in: 0..<4, using: &random) == 0 {
        request.fallbacks = [strategies.randomElement(using: &random) ?? .pack]
      }
      if Int.random(in: 0..<6, using: &random) == 0 {
        request.limits = GangDemand.Limits(perSupplier: 2, perCountry: 3)
      }
      if Bool.random(using: &random) {
        request.excluding = Set(
          nodes.keys.sorted().filter { _ in Int.random(in: 0..<12, using: &random) == 0 })
      }
      return (request, Int.random(in: 0..<3, using: &random))
    }
  }

  @Test("says what GangPlacer says from scratch, after any sequence of changes")
  func sameAnswers() {
    var counts = (placed: 0, refused: 0)
    for seed in UInt64(1)...60 {
      Self.compare(seed: seed, nodes: 0, steps: 60, &counts)
    }
    #expect(counts.placed > 500 && counts.refused > 500, "\(counts)")
  }

  @Test("says the same on so many nodes that a search passes most of them by")
  func sameAnswersOfMany() {
    var counts = (placed: 0, refused: 0)
    for seed in UInt64(1)...12 {
      // Some blocks of 64 rows, the last one not full.
      Self.compare(seed: seed, nodes: 100 + 30 * Int(seed), steps: 30, &counts)
    }
    #expect(counts.placed > 150 && counts.refused > 10, "\(counts)")
  }

  /// Compares answers with those of a look at all nodes, from a seed.
  private static func compare(
    seed: UInt64, nodes: Int, steps: Int, _ counts: inout (placed: Int, refused: Int)
  ) {
    var world = World(seed: seed)
    if nodes > 0 { world.join(nodes) }
    for step in 0..<steps {
      for _ in 0..<Int.random(in: 1...3, using: &world.random) { world.step() }
      #expect(world.inventory.offers == world.offers, "seed \(seed), step \(step)")
      let (drawn, terms) = world.request()
      var request = drawn
      let barred = world.barred[terms] ?? []
      let answer = world.inventory.place(request, terms: terms) { barred.contains($0.node) }
      request.barred = Dictionary(uniqueKeysWithValues: barred.map { ($0, "not wanted") })
      let scratch = GangPlacer(
        sites: world.inventory.sites, packing: world.inventory.packing)
      switch scratch.place(request, on: world.offers.shuffled(using: &world.random)) {
      case .placed(let placement):
        counts.placed += 1
        #expect(answer == .placed(placement), "seed \(seed), step \(step), \(request)")
      case .refused(let refusal):
        counts.refused += 1
        #expect(
          answer == .refused(fitsWhenIdle: refusal.fitsWhenIdle),
          "seed \(seed), step \(step), \(request)")
      }
    }
  }

  private static func node(_ number: Int, cpus: Int = 4) -> NodeOffer {
    NodeOffer(
      node: PeerID(high: UInt64(number), low: 0), name: "node-\(number)",
      capacity: ResourceSet(milliCPUs: cpus * 1000), gpus: [], used: ResourceSet(),
      usedGPUs: [], isPlaceable: true)
  }

  @Test(
    "whether a node is barred is asked once, and again when it is told anew, not for what jobs take"
  )
  func looks() {
    var inventory = NodeInventory((0..<100).map { Self.node($0) })
    let request = GangRequest(ranks: 2, resources: ResourceSet(milliCPUs: 1000))
    var looks = 0
    func place() {
      _ = inventory.place(request) { _ in
        looks += 1
        return false
      }
    }
    place()
    #expect(looks == 100)
    place()
    #expect(looks == 100)
    inventory.take(request.resources, gpus: [], on: Self.node(7).node)
    inventory.take(request.resources, gpus: [], on: Self.node(7).node)
    inventory.release(request.resources, gpus: [], on: Self.node(9).node)
    place()
    #expect(looks == 100)
    // Another kind of rank under the same terms does not ask again.
    _ = inventory.place(GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: 1))) { _ in
      looks += 1
      return false
    }
    #expect(looks == 100)
    inventory.update([Self.node(7), Self.node(8)])
    place()
    #expect(looks == 102)
    // Who joins or leaves does not make the others be looked at.
    inventory.update([Self.node(1000)], removing: [Self.node(3).node])
    place()
    #expect(looks == 103)
    #expect(inventory.offers.count == 100)
  }

  @Test("a node that the terms bar from now on is not used by rankings that know it")
  func barredLater() {
    var inventory = NodeInventory((0..<3).map { Self.node($0) })
    let request = GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: 1000))
    var barred: Set<PeerID> = []
    func place(_ terms: Int) -> [PeerID] {
      guard
        case .placed(let placement) = inventory.place(
          request, terms: terms,
          bars: { offer in
            terms == 1 && barred.contains(offer.node)
          })
      else { return [] }
      return placement.members.map(\.node)
    }
    #expect(place(1) == [Self.node(0).node])
    #expect(place(2) == [Self.node(0).node])
    barred = [Self.node(0).node]
    inventory.update([Self.node(0)])
    // Other terms are asked first, and must not take the news away.
    #expect(place(2) == [Self.node(0).node])
    #expect(place(1) == [Self.node(1).node])
    barred = []
    inventory.update([Self.node(0)])
    #expect(place(1) == [Self.node(0).node])
  }

  @Test("more GPU models and terms than are kept: the oldest begin anew")
  func manyModelsAndTerms() {
    var random = SeededGenerator(seed: 5)
    var offers = (0..<80).map { RandomCluster.offer($0, using: &random) }
    var inventory = NodeInventory(offers)
    func check(_ model: String, terms: Int) {
      var request = GangRequest(
        ranks: 3, resources: ResourceSet(milliCPUs: 500, gpus: 1), gpuModel: model)
      let barred = offers.indices.filter { $0 % 400 == terms }.map { offers[$0].node }
      let answer = inventory.place(request, terms: terms) { barred.contains($0.node) }
      request.barred = Dictionary(uniqueKeysWithValues: barred.map { ($0, "not wanted") })
      guard case .placed(let placement) = GangPlacer().place(request, on: offers) else {
        return #expect(answer == .refused(fitsWhenIdle: true), "\(model), terms \(terms)")
      }
      #expect(answer == .placed(placement), "\(model), terms \(terms)")
    }
    let models = ["nvidia", "h100", "rtx", "4090", "80gb", "geforce"]
    for round in 0..<2 {
      for number in 0..<24 {
        // Spelled otherwise, it is another model to keep.
        let model = models[number % models.count]
        check(String(model.prefix(model.count - number / models.count)), terms: 0)
      }
      for terms in stride(from: 0, to: 400, by: 3) { check("nvidia", terms: terms) }
      for terms in stride(from: 1, to: 400, by: 2) { check("rtx", terms: terms) }
      let row = round * 7
      inventory.take(
        ResourceSet(milliCPUs: 500, gpus: 1), gpus: [0], on: offers[row].node)
      offers[row].take(ResourceSet(milliCPUs: 500, gpus: 1), gpus: [0])
    }
  }

  @Test("thousands of changes between two questions are all seen")
  func longLog() {
    var inventory = NodeInventory((0..<10).map { Self.node($0) })
    let request = GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: 4000))
    let first = inventory.place(request)
    #expect(first != .refused(fitsWhenIdle: true))
    for number in 0..<10 {
      inventory.take(ResourceSet(milliCPUs: 1000), gpus: [], on: Self.node(number).node)
    }
    for _ in 0..<10_000 {
      inventory.take(ResourceSet(milliCPUs: 1000), gpus: [], on: Self.node(0).node)
      inventory.release(ResourceSet(milliCPUs: 1000), gpus: [], on: Self.node(0).node)
    }
    let full = inventory.place(request)
    #expect(full == .refused(fitsWhenIdle: true))
    // More kinds than are kept: the oldest begin anew.
    for milli in 1...600 {
      _ = inventory.place(GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: milli)))
    }
    inventory.release(ResourceSet(milliCPUs: 1000), gpus: [], on: Self.node(4).node)
    guard case .placed(let placement) = inventory.place(request) else {
      Issue.record("it was not placed")
      return
    }
    #expect(placement.members.map(\.node) == [Self.node(4).node])
  }

  @Test("nodes that nobody knows change nothing; wrong requests are refused for good")
  func badInput() {
    var inventory = NodeInventory([Self.node(1), Self.node(1, cpus: 8)])
    #expect(inventory.offers.map(\.capacity.milliCPUs) == [8000])
    inventory.take(ResourceSet(milliCPUs: 1), gpus: [], on: Self.node(2).node)
    inventory.setUsed(ResourceSet(milliCPUs: 1), gpus: [], on: Self.node(2).node)
    inventory.update([], removing: [Self.node(2).node])
    #expect(inventory.offers.map(\.used.milliCPUs) == [0])
    for ranks in [0, -1, GangRequest.maximumRanks + 1] {
      let answer = inventory.place(
        GangRequest(ranks: ranks, resources: ResourceSet(milliCPUs: 1)))
      #expect(answer == .refused(fitsWhenIdle: false))
    }
    let negative = inventory.place(
      GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: -1)))
    #expect(negative == .refused(fitsWhenIdle: false))
    var empty = NodeInventory()
    let nowhere = empty.place(GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: 1)))
    #expect(nowhere == .refused(fitsWhenIdle: false))
  }
}
