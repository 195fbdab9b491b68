import IorunContract
import IorunCore
import TestSupport
import Testing

@testable import IorunHead

@Suite("Addresses for the networks of gangs")
struct OverlayPoolTests {
  private let pool = OverlayPool(head: PeerID(high: 0x1122_3344_5566_7788, low: 1))

  @Test("are private ranges that hold every node, and a /64 of the network's own")
  func ranges() throws {
    for (nodes, length) in [(1, 24), (254, 24), (255, 23), (1000, 22), (1024, 21)] {
      let network = try #require(pool.allot(nodes: nodes, number: 1, avoiding: [], taken: []))
      #expect(network.four.length == length)
      try network.check(nodes: nodes)
      #expect(network.six.description.hasPrefix("fd11:2233:4455:1:"))
      #expect(network.four.contains(network.four(of: nodes - 1)))
    }
    #expect(pool.allot(nodes: 1025, number: 1, avoiding: [], taken: []) == nil)
  }

  @Test("never meet a network that a node is in, nor another gang's, whatever these are")
  func noClash() throws {
    var random = SeededGenerator(seed: 42)
    for round in 0..<200 {
      var local: Set<IPPrefix> = []
      for _ in 0..<Int.random(in: 0...40, using: &random) {
        let base: UInt32 = Bool.random(using: &random) ? 0x6440_0000 : 0x0a00_0000
        let address = base | UInt32.random(in: 0...0x003f_ffff, using: &random)
        let length = Int.random(in: 11...32, using: &random)
        local.insert(try #require(IPPrefix(.v4(address), length: length)).masked)
      }
      var taken: [OverlayNetwork] = []
      for number in 0..<10 {
        let nodes = Int.random(in: 1...600, using: &random)
        guard
          let network = pool.allot(
            nodes: nodes, number: Int64(number / 3), avoiding: local, taken: taken)
        else { continue }
        try network.check(nodes: nodes)
        #expect(!local.contains { $0.overlaps(network.four) }, "round \(round)")
        #expect(!taken.contains { $0.four.overlaps(network.four) || $0.six.overlaps(network.six) })
        taken.append(network)
      }
    }
  }

  @Test("are taken from 10.0.0.0/8 where the first range is a node's, and run out")
  func fallback() throws {
    let shared = try #require(IPPrefix("100.64.0.0/10"))
    let private10 = try #require(IPPrefix("10.0.0.0/8"))
    let network = try #require(pool.allot(nodes: 2, number: 3, avoiding: [shared], taken: []))
    #expect(network.four == IPPrefix("10.0.3.0/24"))
    #expect(pool.allot(nodes: 2, number: 3, avoiding: [shared, private10], taken: []) == nil)
  }
}
