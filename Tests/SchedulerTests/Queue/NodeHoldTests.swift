import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Room that is held for a gang")
struct NodeHoldTests {
  private func offer(_ number: Int, cpus: Int, used: Int) -> NodeOffer {
    NodeOffer(
      node: PeerID(high: 1, low: UInt64(number)), name: "n\(number)",
      capacity: ResourceSet(milliCPUs: cpus * 1000), gpus: [],
      used: ResourceSet(milliCPUs: used * 1000), usedGPUs: [], isPlaceable: true)
  }

  private func gang(_ ranks: Int, _ cpus: Int) -> GangRequest {
    GangRequest(ranks: ranks, resources: ResourceSet(milliCPUs: cpus * 1000))
  }

  @Test("free room is held first, then nodes that will be free; what is beside it stays open")
  func holds() {
    let offers = [
      offer(1, cpus: 4, used: 3), offer(2, cpus: 4, used: 0), offer(3, cpus: 1, used: 0),
      offer(4, cpus: 4, used: 4),
    ]
    let kept = NodeHold.offers(offers, keeping: gang(2, 3))
    #expect(kept.map(\.isPlaceable) == [false, true, true, true])
    #expect(kept.map { $0.used.milliCPUs / 1000 } == [3, 3, 0, 4])
  }

  @Test("a gang that these nodes can never hold keeps nothing")
  func never() {
    let offers = [offer(1, cpus: 4, used: 3), offer(2, cpus: 4, used: 0)]
    #expect(NodeHold.offers(offers, keeping: gang(3, 3)) == offers)
    #expect(NodeHold.offers(offers, keeping: gang(0, 3)) == offers)
  }

  @Test(
    "with a hold a gang starts once the leases of its beginning have ended, whatever small jobs come",
    arguments: 1...20)
  func noStarvation(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var offers = (0..<6).map { offer($0, cpus: 4, used: 4) }
    // Each node runs four leases of one core that were there before; they end one by one.
    var old = (0..<6).flatMap { Array(repeating: $0, count: 4) }.shuffled(using: &random)
    let gang = gang(3, 4)
    var new: [Int] = []
    var isPlaced = false
    while !isPlaced, !old.isEmpty {
      let ended = old.removeLast()
      offers[ended].used = offers[ended].used - ResourceSet(milliCPUs: 1000)
      if !new.isEmpty, Bool.random(using: &random) {
        let ended = new.removeLast()
        offers[ended].used = offers[ended].used - ResourceSet(milliCPUs: 1000)
      }
      if case .placed = GangPlacer().place(gang, on: offers) { isPlaced = true }
      // Small jobs without end, that never leave by themselves.
      while case .placed(let placement) = GangPlacer().place(
        self.gang(1, 1), on: NodeHold.offers(offers, keeping: gang))
      {
        let node = Int(placement.members[0].node.low)
        offers[node].used = offers[node].used + ResourceSet(milliCPUs: 1000)
        new.append(node)
      }
    }
    if !isPlaced, case .placed = GangPlacer().place(gang, on: offers) { isPlaced = true }
    #expect(isPlaced)
  }
}
