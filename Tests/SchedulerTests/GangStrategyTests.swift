import IorunCore
import Testing

@testable import IorunScheduler

/// Gangs on a network's nodes whose ranks are to lie in a certain way.
struct GangStrategyTests {
  private static func offer(_ number: UInt64, cpus: Int = 4, used: Int = 0) -> NodeOffer {
    NodeOffer(
      node: PeerID(high: 0, low: number), name: "node-\(number)",
      capacity: ResourceSet(milliCPUs: cpus * 1000), gpus: [],
      used: ResourceSet(milliCPUs: used * 1000), usedGPUs: [], isPlaceable: true)
  }

  /// Nodes 0 and 1 in a site, 2 to 4 in one 8 ms away, 5 in one 90 ms away.
  private static let sites = NodeSites(
    siteOf: Dictionary(
      uniqueKeysWithValues: (0..<6).map { number in
        (PeerID(high: 0, low: UInt64(number)), number < 2 ? 0 : number < 5 ? 1 : 2)
      }),
    matrix: LatencyMatrix(count: 3, milliseconds: [0, 8, 90, 8, 0, 95, 90, 95, 0]))

  private static func place(
    _ ranks: Int, _ placement: GangStrategy, used: Int = 0, cpus: Int = 1
  ) -> PlacementResult {
    let request = GangRequest(
      ranks: ranks, resources: ResourceSet(milliCPUs: cpus * 1000), placement: placement)
    return GangPlacer(sites: sites).place(request, on: (0..<6).map { offer($0, used: used) })
  }

  private static func nodes(_ result: PlacementResult) -> [UInt64]? {
    guard case .placed(let placement) = result else { return nil }
    return Set(placement.members.map(\.node.low)).sorted()
  }

  @Test("SITE gives the nearest nodes that hold all ranks, and none beyond its limit")
  func site() {
    #expect(Self.nodes(Self.place(8, .site(maxRoundTripMilliseconds: 5))) == [0, 1])
    #expect(Self.nodes(Self.place(9, .site(maxRoundTripMilliseconds: 5))) == [2, 3, 4])
    #expect(Self.nodes(Self.place(13, .site(maxRoundTripMilliseconds: 10))) == [0, 1, 2, 3, 4])
    #expect(Self.nodes(Self.place(24, .site(maxRoundTripMilliseconds: nil)))?.count == 6)
  }

  @Test("What is too far apart waits, and is told what would do")
  func tooFar() {
    guard case .refused(let refusal) = Self.place(13, .site(maxRoundTripMilliseconds: 5)) else {
      Issue.record("it was placed")
      return
    }
    #expect(refusal.fitsWhenIdle)
    #expect(refusal.explanation.contains("at most 12 of the 13 ranks within 5 ms"))
    #expect(refusal.explanation.contains("SITE(8ms)"))
    // Those that are too far are a step of the funnel.
    #expect(refusal.explanation.hasPrefix("6 nodes seen: 3 over maxRTT 5 ms, 3 have room for 12"))
    #expect(refusal.funnel?.left == 3 && refusal.funnel?.steps.map(\.count) == [3])
  }

  @Test("A gang of one site or more says what is proved of its longest round trip")
  func proved() {
    for (ranks, longest) in [(12, Float(0)), (13, 8), (24, .infinity)] {
      guard case .placed(let placed) = Self.place(ranks, .site(maxRoundTripMilliseconds: nil)),
        let bound = placed.lowerBoundMilliseconds
      else {
        Issue.record("\(ranks) were not placed")
        continue
      }
      #expect(placed.eligible == 6)
      #expect(longest == .infinity ? bound > 8 : bound == longest, "\(ranks): \(bound)")
    }
    guard case .placed(let plain) = Self.place(2, .spread) else {
      Issue.record("it was not placed")
      return
    }
    #expect(plain.lowerBoundMilliseconds == nil)
  }

  @Test("The others use as many nodes as their names say, and say why not")
  func others() {
    #expect(Self.nodes(Self.place(4, .strictPack))?.count == 1)
    #expect(Self.nodes(Self.place(5, .pack))?.count == 2)
    #expect(Self.nodes(Self.place(5, .spread))?.count == 5)
    #expect(Self.nodes(Self.place(6, .strictSpread))?.count == 6)
    for (ranks, placement, words) in [
      (
        5, GangStrategy.strictPack,
        "no node has room for all 5 (most: node-0 with room for 4); use PACK"
      ), (7, .strictSpread, "7 ranks need a node each, and 6 have room; use SPREAD"),
    ] {
      guard case .refused(let refusal) = Self.place(ranks, placement) else {
        Issue.record("it was placed")
        continue
      }
      #expect(refusal.explanation.contains(words), "\(refusal.explanation)")
      #expect(!refusal.fitsWhenIdle)
    }
    guard case .refused(let busy) = Self.place(4, .strictPack, used: 2) else {
      Issue.record("it was placed")
      return
    }
    #expect(busy.fitsWhenIdle)
    #expect(busy.explanation.contains("once running jobs end"))
  }

  @Test("A node whose site is not known yet is a site by itself")
  func unknown() {
    let placer = GangPlacer()
    let offers = (0..<3).map { Self.offer($0) }
    func result(_ ranks: Int) -> PlacementResult {
      placer.place(
        GangRequest(
          ranks: ranks, resources: ResourceSet(milliCPUs: 1000),
          placement: .site(maxRoundTripMilliseconds: 5)), on: offers)
    }
    #expect(Self.nodes(result(4)) == [0])
    #expect(Self.nodes(result(5)) == nil)
    #expect(Self.sites.longest(among: [PeerID(high: 0, low: 0), PeerID(high: 0, low: 2)]) == 8)
    #expect(Self.sites.longest(among: [PeerID(high: 9, low: 9)]) == 0)
    #expect(Self.sites.longest(among: [PeerID(high: 9, low: 9), PeerID(high: 0, low: 2)]) == nil)
  }

  @Test("Strategies are read as people write them, and hostile ones are not")
  func text() {
    for strategy in [
      GangStrategy.pack, .spread, .strictPack, .strictSpread, .site(maxRoundTripMilliseconds: nil),
      .site(maxRoundTripMilliseconds: 20), .site(maxRoundTripMilliseconds: 0.5),
    ] { #expect(GangStrategy(strategy.description) == strategy) }
    #expect(GangStrategy("site(20 ms)") == .site(maxRoundTripMilliseconds: 20))
    for text in ["", "SITE()", "SITE(nan)", "SITE(-1)", "SITE(1e9)", "SITE(0)", "SITE(5", "RACK"] {
      #expect(GangStrategy(text) == nil, "\(text)")
    }
  }
}
