import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

struct LocationCheckTests {
  private static let frankfurt = GeoPoint(latitude: 50.11, longitude: 8.68)
  private static let paris = GeoPoint(latitude: 48.86, longitude: 2.35)
  private static let newYork = GeoPoint(latitude: 40.71, longitude: -74.01)

  @Test("Distances are those of the globe")
  func distance() throws {
    let one = try #require(Self.frankfurt)
    let other = try #require(Self.newYork)
    #expect(abs(one.kilometres(to: other) - 6200) < 60)
    #expect(one.leastRoundTripMilliseconds(to: other) > 60)
    #expect(one.kilometres(to: one) == 0)
  }

  @Test("Who claims to be across the ocean and answers in 5 ms is found out, with the evidence")
  func liar() throws {
    var check = LocationCheck()
    check.claim(0, Self.frankfurt, supplier: 0)
    check.claim(1, Self.paris, supplier: 1)
    check.claim(2, Self.newYork, supplier: 2)
    let contradicts = [(0, 1, Float(9)), (0, 2, 5), (2, 1, 8), (0, 2, .nan)].map {
      check.measured($0, $1, milliseconds: $2)
    }
    #expect(contradicts == [false, true, true, false])
    let verdicts = check.verdicts
    #expect(verdicts.keys.sorted() == [2])
    guard case .isFalse(let evidence)? = verdicts[2] else {
      Issue.record("\(verdicts)")
      return
    }
    #expect(evidence.map(\.witness) == [0, 1])
    #expect(evidence[0].measuredMilliseconds == 5)
    #expect(evidence[0].leastMilliseconds > 60)
    // It corrects its claim: nothing is held against it.
    check.claim(2, Self.paris, supplier: 2)
    #expect(check.verdicts.isEmpty)
  }

  @Test("One against one is doubt on both, and an anchor's word decides")
  func doubt() {
    var check = LocationCheck()
    check.claim(0, Self.frankfurt, supplier: 0)
    check.claim(1, Self.newYork, supplier: 1)
    check.measured(0, 1, milliseconds: 5)
    #expect(check.verdicts.count == 2)
    guard case .isDoubtful? = check.verdicts[0], case .isDoubtful? = check.verdicts[1] else {
      Issue.record("\(check.verdicts)")
      return
    }
    check.claim(0, Self.frankfurt, supplier: 0, isAnchor: true)
    check.measured(0, 1, milliseconds: 5)
    guard case .isFalse? = check.verdicts[1] else {
      Issue.record("\(check.verdicts)")
      return
    }
    #expect(check.verdicts[0] == nil)
  }

  @Test("One supplier's many devices do not convict another's: that takes two suppliers")
  func framing() {
    var check = LocationCheck()
    check.claim(0, Self.newYork, supplier: 0)
    for device in 1...5 {
      check.claim(device, Self.frankfurt, supplier: 7)
      check.measured(device, 0, milliseconds: 3)
    }
    guard case .isDoubtful? = check.verdicts[0] else {
      Issue.record("\(check.verdicts)")
      return
    }
  }

  @Test(
    "Honest claims with any slow round trip are never doubted",
    arguments: 1...20 as ClosedRange<UInt64>)
  func honest(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var check = LocationCheck()
    var points: [GeoPoint] = []
    for device in 0..<20 {
      let point = try #require(
        GeoPoint(
          latitude: .random(in: -80...80, using: &random),
          longitude: .random(in: -180...180, using: &random)))
      points.append(point)
      check.claim(device, point, supplier: UInt32(device))
    }
    let liar = Int.random(in: 0..<20, using: &random)
    let truth = try #require(
      GeoPoint(latitude: -points[liar].latitude, longitude: points[liar].longitude / 2))
    for left in 0..<20 {
      for right in 0..<left {
        let (one, other) = (
          left == liar ? truth : points[left], right == liar ? truth : points[right]
        )
        let least = one.kilometres(to: other) / 100
        check.measured(
          left, right, milliseconds: max(0.1, least * .random(in: 1...3, using: &random)))
      }
    }
    for (device, verdict) in check.verdicts {
      if case .isFalse = verdict { #expect(device == liar, "seed \(seed)") }
    }
  }
}
