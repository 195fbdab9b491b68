import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

@Suite("When a gang that waits can start at the latest")
struct NodeReservationTests {
  private static let one = ResourceSet(milliCPUs: 1000, gpus: 0, memory: .zero, disk: .zero)

  private static func node(_ number: Int, cpus: Int, used: Int) -> NodeOffer {
    NodeOffer(
      node: PeerID(high: UInt64(number), low: 0), name: "node-\(number)",
      capacity: ResourceSet(milliCPUs: cpus * 1000, gpus: 0, memory: .zero, disk: .zero), gpus: [],
      used: ResourceSet(milliCPUs: used * 1000, gpus: 0, memory: .zero, disk: .zero),
      usedGPUs: [], isPlaceable: true)
  }

  private static func release(_ at: Double, _ node: Int, count: Int = 1)
    -> NodeReservation.Release
  {
    NodeReservation.Release(
      atSeconds: at,
      seats: (0..<count).map { _ in (PeerID(high: UInt64(node), low: 0), []) }, resources: one)
  }

  private static func shadow(
    _ ranks: Int, _ offers: [NodeOffer], _ releases: [NodeReservation.Release],
    _ strategy: GangStrategy = .spread
  ) -> Double {
    NodeReservation.shadowSeconds(
      of: GangRequest(ranks: ranks, resources: one, placement: strategy), on: offers,
      releases: releases, placer: GangPlacer())
  }

  @Test("the last of the ends that it needs counts, in whatever order they are told")
  func lastEnd() {
    let offers = [Self.node(1, cpus: 2, used: 2), Self.node(2, cpus: 2, used: 1)]
    let releases = [Self.release(300, 1), Self.release(100, 1), Self.release(200, 2)]
    #expect(Self.shadow(2, offers, releases) == 100)
    #expect(Self.shadow(3, offers, releases) == 200)
    #expect(Self.shadow(4, offers, releases) == 300)
    #expect(Self.shadow(5, offers, releases) == .infinity)
    #expect(Self.shadow(1, offers, releases) == -.infinity, "it fits now")
  }

  @Test("room on one node is not room on another")
  func onOneNode() {
    let offers = [Self.node(1, cpus: 2, used: 2), Self.node(2, cpus: 2, used: 2)]
    let releases = [Self.release(100, 1), Self.release(200, 2), Self.release(300, 1)]
    #expect(Self.shadow(2, offers, releases) == 200)
    #expect(Self.shadow(2, offers, releases, .strictPack) == 300)
  }

  @Test("who has no limit is never counted on")
  func unbound() {
    let offers = [Self.node(1, cpus: 2, used: 2)]
    #expect(Self.shadow(1, offers, []) == .infinity)
    #expect(Self.shadow(1, offers, [Self.release(.infinity, 1)]) == .infinity)
    #expect(Self.shadow(1, offers, [Self.release(.nan, 1), Self.release(5, 1)]) == 5)
    #expect(Self.shadow(1, offers, [Self.release(5, 99)]) == .infinity, "of no known node")
  }
}
