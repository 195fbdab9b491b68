import IorunContract
import IorunCore
import IorunScheduler
import TestSupport
import Testing

@testable import IorunHead

@Suite("What placement knows of the network, kept from change to change")
struct LiveInventoryTests {
  /// The same network by the simplest means: dictionaries, from which all is built anew.
  private struct World {
    var nodes: [PeerID: NodeSnapshot] = [:]
    var owners: [PeerID: String] = [:]
    var labels: [PeerID: [String: String]] = [:]
    var doubts: [PeerID: String] = [:]
    var tiers: [PeerID: ConnectivityTier] = [:]
    var jobs: [JobID: (seats: [JobCourse.Seat], each: ResourceSet)] = [:]
    var live = LiveInventory()
    var held = HoldingBook()
    var random: SeededGenerator
    private var recounted: Set<PeerID> = []
    private var changed: Set<PeerID> = []
    private var peers: Set<PeerID> = []

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func step() {
      let known = nodes.keys.sorted()
      let node = known.randomElement(using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0, 1: join()
      case 2, 3: if let node { change(node) }
      case 4:
        if let node {
          owners[node] = "tenant-\(Int.random(in: 0..<3, using: &random))"
          labels[node] = Bool.random(using: &random) ? ["region": "eu"] : [:]
          peers.insert(node)
        }
      case 5: if let node { doubts[node] = doubts[node] == nil ? "it is elsewhere" : nil }
      case 6: if let node { tiers[node] = Bool.random(using: &random) ? .high : nil }
      case 7: if let job = jobs.keys.sorted().randomElement(using: &random) { end(job) }
      default: if let node { start(on: [node, known[0]]) }
      }
      if Bool.random(using: &random) { tell() }
    }

    private mutating func join() {
      let id = PeerID.sample(Int.random(in: 0..<40, using: &random))
      var facts = NodeFacts.sample(
        "node-\(Int.random(in: 0..<99, using: &random))",
        cpus: Int.random(in: 1...8, using: &random))
      if Bool.random(using: &random) {
        facts.gpus = (0..<2).map { .init(model: "A10", uuid: "\(id)-\($0)", memory: .gibi(24)) }
      }
      facts.runsStrangersBare = Int.random(in: 0..<3, using: &random) > 0
      var claims = NodeClaims()
      claims.country = ["DE", "FR", "US"].randomElement(using: &random)
      claims.microdollarsPerHour = Int.random(in: 0...3, using: &random) * 1_000_000
      facts.claims = claims
      nodes[id] = NodeSnapshot(
        id: id, facts: facts, state: .alive, isDraining: false, isDrained: false, ownerHold: nil,
        lastSeenAt: 0, roundTripMilliseconds: nil, silence: .zero, isStopping: false, reason: nil)
      changed.insert(id)
    }

    private mutating func change(_ node: PeerID) {
      switch Int.random(in: 0..<5, using: &random) {
      case 0: nodes[node]?.state = [.alive, .suspect, .dead, .left].randomElement(using: &random)!
      case 1: nodes[node]?.isDrained.toggle()
      case 2: nodes[node]?.ownerHold = Bool.random(using: &random) ? "its owner works" : nil
      case 3:
        nodes[node]?.isUnproved.toggle()
        nodes[node]?.hasUnprovedGPUs = Bool.random(using: &random)
      default: nodes[node]?.isDraining.toggle()
      }
      changed.insert(node)
    }

    private mutating func start(on seats: [PeerID]) {
      let job = JobID(using: &random)
      let each = ResourceSet(milliCPUs: 500, gpus: 1, memory: .mebi(100))
      let gpu = Int.random(in: 0..<2, using: &random)
      // No GPU goes to two jobs.
      let taken = jobs.values.flatMap(\.seats).filter { $0.gpuIndices == [gpu] }.map(\.node)
      let free = Set(seats).subtracting(taken).sorted()
      guard !free.isEmpty else { return }
      let places = free.enumerated().map {
        JobCourse.Seat(rank: $0.offset, node: $0.element, gpuIndices: [gpu])
      }
      jobs[job] = (places, each)
      recounted.formUnion(held.set(places, leases: free, of: job, each))
    }

    private mutating func end(_ job: JobID) {
      jobs[job] = nil
      recounted.formUnion(held.remove(job))
    }

    /// The news arrive.
    mutating func tell() {
      let news = LiveInventory.News(
        nodes: changed.compactMap { nodes[$0] }, peers: peers, doubts: doubts, tiers: tiers)
      let (owners, labels) = (owners, labels)
      live.update(news, held: held) { (owners[$0] ?? $0.description, labels[$0] ?? [:]) }
      live.recount(recounted, held: held)
      (changed, peers, recounted) = ([], [], [])
    }

    /// All of it from scratch.
    var plain: Inventory {
      var holdings: [PeerID: Holding] = [:]
      for job in jobs.values {
        for seat in job.seats {
          holdings[seat.node, default: Holding()].resources =
            (holdings[seat.node]?.resources ?? ResourceSet()) + job.each
          holdings[seat.node]?.gpus.formUnion(seat.gpuIndices)
          holdings[seat.node]?.leases += 1
        }
      }
      var standings: [PeerID: NodeStanding] = [:]
      for node in nodes.values {
        standings[node.id] = NodeStanding(
          node, supplier: owners[node.id] ?? node.id.description,
          vouched: labels[node.id] ?? [:], placeDoubt: doubts[node.id],
          tier: tiers[node.id] ?? .unrated)
      }
      return Inventory(
        nodes: nodes.values.sorted { ($0.facts.name, $0.id) < ($1.facts.name, $1.id) },
        holdings: holdings, standings: standings)
    }
  }

  private static var specs: [JobSpec] {
    var gpu = JobSpec.sample(ranks: 1)
    gpu.gang.resources.gpus = 1
    var cheap = JobSpec.sample(ranks: 2)
    cheap.gang.terms = PlacementTerms()
    cheap.gang.terms?.mostMicrodollarsPerHour = 1_000_000
    var near = JobSpec.sample(ranks: 3)
    near.gang.terms = PlacementTerms()
    near.gang.terms?.labels = ["country": "DE"]
    var careless = JobSpec.sample(ranks: 2)
    careless.verification = .any
    return [JobSpec.sample(ranks: 2, cpus: 2), gpu, cheap, near, careless]
  }

  @Test("is what would be built from all nodes anew, after any sequence of changes")
  func sameAsFromScratch() {
    var placed = 0
    for seed in UInt64(1)...30 {
      var world = World(seed: seed)
      for step in 0..<80 {
        world.step()
        guard step % 4 == 3 else { continue }
        world.tell()
        let plain = world.plain
        #expect(world.live.book.offers == plain.offers, "seed \(seed), step \(step)")
        #expect(world.held.byNode == plain.holdings, "seed \(seed), step \(step)")
        #expect(world.live.capacity == plain.totals.capacity, "seed \(seed), step \(step)")
        #expect(world.live.standings == plain.standings, "seed \(seed), step \(step)")
        for spec in Self.specs {
          let owner = JobOwner(tenant: "tenant-\(Int.random(in: 0..<3, using: &world.random))")
          let request = plain.request(spec, of: owner)
          let terms = world.live.terms(of: spec, by: owner)
          var book = world.live.takeBook()
          let answer = book.place(
            Inventory.request(spec, ranks: spec.gang.ranks, excluding: []), terms: terms.number,
            bars: terms.bars)
          world.live.giveBack(book)
          switch plain.placer.place(request, on: plain.offers) {
          case .placed(let placement):
            placed += 1
            #expect(answer == .placed(placement), "seed \(seed), step \(step), \(request)")
          case .refused(let refusal):
            #expect(
              answer == .refused(fitsWhenIdle: refusal.fitsWhenIdle),
              "seed \(seed), step \(step), \(request)")
          }
        }
      }
    }
    #expect(placed > 300)
  }

  @Test(
    "the first offer is where placement puts the job, every offer has room, and none is where it has none"
  )
  func offersArePlacement() throws {
    var (placed, refused, others) = (0, 0, 0)
    for seed in UInt64(1)...20 {
      var world = World(seed: seed)
      for step in 0..<80 {
        world.step()
        guard step % 8 == 7 else { continue }
        world.tell()
        let plain = world.plain
        for spec in Self.specs {
          let owner = JobOwner(tenant: "tenant-\(Int.random(in: 0..<3, using: &world.random))")
          let request = plain.request(spec, of: owner)
          let prospect = try world.live.prospect(of: spec, by: owner)
          let offers = prospect.offers(spec)
          let context = "seed \(seed), step \(step), \(request)"
          guard case .placed(let placement) = plain.placer.place(request, on: plain.offers) else {
            refused += 1
            #expect(offers.isEmpty && prospect.plain != nil, "\(context)")
            continue
          }
          placed += 1
          #expect(prospect.answer == .placed(placement), "\(context)")
          let first = try #require(offers.first, "\(context)")
          var offered: [PeerID: Int] = [:]
          for share in first.shares { offered[share.node, default: 0] += share.ranks }
          var placed: [PeerID: Int] = [:]
          for member in placement.members { placed[member.node, default: 0] += 1 }
          #expect(offered == placed, "\(context)")
          #expect(first.words.hasPrefix(OfferTable.placedWords), "\(context)")
          others += offers.count - 1
          let free = Dictionary(plain.offers.map { ($0.node, $0) }) { $1 }
          for offer in offers {
            #expect(offer.shares.reduce(0) { $0 + $1.ranks } == spec.gang.ranks, "\(context)")
            for share in offer.shares {
              let node = try #require(free[share.node])
              #expect(request.allows(node), "\(context), \(offer)")
              var alone = request
              (alone.ranks, alone.placement, alone.fallbacks) = (share.ranks, .strictPack, [])
              #expect(plain.placer.fits(alone, on: [node]), "\(context), \(offer)")
            }
          }
          // No two offers are the same.
          #expect(Set(offers.map { Set($0.shares) }).count == offers.count, "\(context)")
        }
      }
    }
    #expect(placed > 200 && refused > 50 && others > 100, "\(placed), \(refused), \(others)")
  }

  @Test("a head that ran jobs, lost and drained nodes knows the same as one that looks at all anew")
  func inTheHead() async throws {
    try await withRig(cpus: [4, 4, 4]) { (rig) async throws in
      let desk = try #require(rig.services.placement as? PlacementDesk)
      func check(_ moment: String) async throws {
        // What happens between both looks is known at the next.
        try await eventually("they differ \(moment)") {
          await desk.director.hearNews()
          let known = await desk.director.known
          let plain = await desk.director.inventory()
          return known.book.offers == plain.offers && known.nodes.count == 3
            && known.capacity == plain.totals.capacity
        }
      }
      try await check("at the beginning")
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 3, cpus: 2)).id, .running)
      try await check("while a job runs")
      _ = try await rig.services.network.drain(
        "node-1", isDrained: true, caller: rig.operatorID)
      try await check("once a node is drained")
      for rank in 0..<3 { try await rig.end(job, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
      try await check("once the job has ended")
      let other = try await rig.wait(for: rig.submit(.sample(ranks: 2, cpus: 4)).id, .running)
      #expect(Set(other.ranks.map(\.nodeName)) == ["node-2", "node-3"])
      try await check("while another runs")
      try await rig.services.nodes.leave(caller: rig.nodes[2].id)
      try await check("once a node has left")
    }
  }
}
