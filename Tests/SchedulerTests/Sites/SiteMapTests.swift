import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

struct SiteMapTests {
  @Test("Devices that are within 2 ms share a site; those that are not, do not")
  func grouping() {
    var map = SiteMap()
    for device in 0..<6 { map.add(device, supplier: UInt32(device)) }
    for left in 0..<6 {
      for right in 0..<left {
        map.measured(left, right, milliseconds: left / 3 == right / 3 ? 0.7 : 18)
      }
    }
    #expect(Set((0..<3).map { map.site(of: $0) }).count == 1)
    #expect(Set((3..<6).map { map.site(of: $0) }).count == 1)
    #expect(map.site(of: 0) != map.site(of: 3))
    let trip = map.roundTrip(map.site(of: 0) ?? -1, map.site(of: 5) ?? -1)
    #expect(trip.milliseconds == 18)
    #expect(trip.source == .measured)
  }

  @Test("A chain of near pairs is not one site: who is far from most members is elsewhere")
  func triangles() {
    var map = SiteMap()
    for device in 0..<5 { map.add(device, supplier: 0) }
    for left in 0..<4 { for right in 0..<left { map.measured(left, right, milliseconds: 1) } }
    // One strange pair, such as a tunnel between two machines.
    for other in 1..<4 { map.measured(4, other, milliseconds: 25) }
    map.measured(4, 0, milliseconds: 1.5)
    #expect(map.site(of: 4) != map.site(of: 0))
  }

  @Test("A newcomer joins the others' site, whatever its number is")
  func newcomer() {
    var map = SiteMap()
    for device in 5..<9 { map.add(device, supplier: 0) }
    for left in 5..<9 { for right in 5..<left { map.measured(left, right, milliseconds: 0.7) } }
    map.add(3, supplier: 1)
    map.measured(3, 8, milliseconds: 1)
    #expect(map.site(of: 3) == map.site(of: 8))
    #expect(map.members(of: map.site(of: 8) ?? -1).count == 5)
  }

  @Test("A device that turns out to be far away leaves its site")
  func moves() {
    var map = SiteMap()
    let place = DevicePlace(country: "DE", city: "Bonn")
    for device in 0..<3 { map.add(device, place: place, supplier: 4) }
    #expect(Set((0..<3).map { map.site(of: $0) }).count == 1)
    map.measured(2, 0, milliseconds: 40)
    map.measured(2, 1, milliseconds: 40)
    #expect(map.site(of: 2) != map.site(of: 0))
    #expect(map.site(of: 1) == map.site(of: 0))
  }

  @Test("Without measurements coordinates decide, then places, then nothing is known")
  func fallbacks() throws {
    func coordinate(_ x: Float) throws -> NetworkCoordinate {
      var position = SIMD8<Float>(repeating: 0)
      position[0] = x
      return try #require(
        NetworkCoordinate(position: position, heightMilliseconds: 0.1, error: 0.1))
    }
    var prior = RoundTripPrior()
    prior.set("JP", "DE", milliseconds: 230)
    prior.set("JP", "FR", milliseconds: .nan)
    var map = SiteMap(prior: prior)
    map.add(0, supplier: 0, coordinate: try coordinate(0))
    map.add(1, supplier: 1, coordinate: try coordinate(1))
    map.add(2, supplier: 2, coordinate: try coordinate(30))
    #expect(map.site(of: 0) == map.site(of: 1))
    let foretold = map.roundTrip(map.site(of: 0) ?? -1, map.site(of: 2) ?? -1)
    #expect(foretold.source == .coordinates)
    #expect(abs(foretold.milliseconds - 30.2) < 0.01)
    map.add(3, place: DevicePlace(country: "DE", city: "Bonn"), supplier: 3)
    map.add(4, place: DevicePlace(country: "JP", city: "Kobe"), supplier: 4)
    map.add(5, place: DevicePlace(country: "FR", city: "Lyon"), supplier: 5)
    let usual = map.roundTrip(map.site(of: 3) ?? -1, map.site(of: 4) ?? -1)
    #expect(usual.milliseconds == 230)
    #expect(usual.source == .prior)
    #expect(map.roundTrip(map.site(of: 5) ?? -1, map.site(of: 4) ?? -1).source == .none)
    let matrix = map.matrix
    #expect(matrix[map.site(of: 3) ?? -1, map.site(of: 4) ?? -1] == 230)
    #expect(matrix[map.site(of: 5) ?? -1, map.site(of: 4) ?? -1] == .infinity)
  }

  @Test("Values that are no round trips change nothing; removed devices leave nothing behind")
  func hostile() {
    var map = SiteMap()
    map.add(0, supplier: 0)
    map.add(1, supplier: 1)
    for value in [Float.nan, -1, 0, .infinity] { map.measured(0, 1, milliseconds: value) }
    map.measured(0, 0, milliseconds: 1)
    map.measured(0, 77, milliseconds: 1)
    #expect(map.site(of: 0) != map.site(of: 1))
    map.measured(0, 1, milliseconds: 50)
    map.remove(1)
    map.remove(1)
    #expect(map.site(of: 1) == nil)
    #expect(map.matrix.longest(among: [0, 1]) == .infinity)
    map.add(2, supplier: 3)
    #expect(map.siteCount == 2)
  }

  @Test(
    "Whatever comes, each device is in the one site that lists it",
    arguments: 1...10 as ClosedRange<UInt64>)
  func consistent(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var map = SiteMap()
    var there: Set<Int> = []
    for _ in 0..<2000 {
      let (one, other) = (
        Int.random(in: 0..<30, using: &random), Int.random(in: 0..<30, using: &random)
      )
      switch Int.random(in: 0..<10, using: &random) {
      case 0:
        map.add(one, place: DevicePlace(city: "c\(one % 4)"), supplier: UInt32(one % 3))
        there.insert(one)
      case 1:
        map.remove(one)
        there.remove(one)
      default:
        map.measured(
          one, other, milliseconds: one % 5 == other % 5 ? 1 : .random(in: 1...60, using: &random))
      }
    }
    for device in 0..<30 {
      let listed = (0..<map.siteCount).filter { map.members(of: $0).contains(device) }
      #expect(
        listed == (there.contains(device) ? [map.site(of: device) ?? -1] : []), "seed \(seed)")
    }
  }

  @Test("what was measured long ago gives way to what is measured now")
  func stale() {
    var map = SiteMap()
    for device in 0..<2 { map.add(device, supplier: UInt32(device)) }
    for second in 0..<9 { map.measured(0, 1, milliseconds: 10, atSeconds: Double(second)) }
    let (one, other) = (map.site(of: 0) ?? -1, map.site(of: 1) ?? -1)
    map.measured(0, 1, milliseconds: 80, atSeconds: 100)
    #expect(map.roundTrip(one, other).milliseconds == 10, "a single delay is no distance")
    #expect(map.measuredAtSeconds(one, other) == 100)
    map.measured(0, 1, milliseconds: 80, atSeconds: 101 + SiteMap.sampleLifeSeconds)
    #expect(map.roundTrip(one, other).milliseconds == 80)
  }

  @Test("countries of which others measured the way foretell it, and a liar has one voice")
  func countries() {
    var map = SiteMap()
    let (german, american) = (DevicePlace(country: "DE"), DevicePlace(country: "US"))
    // Three suppliers here, three there, and one that lies about twenty devices.
    for device in 0..<3 {
      map.add(device, place: german, supplier: UInt32(device))
      map.add(10 + device, place: american, supplier: UInt32(10 + device))
    }
    for liar in 100..<120 { map.add(liar, place: american, supplier: 99) }
    map.add(50, place: german, supplier: 50)
    map.add(51, place: american, supplier: 51)
    func trip() -> (milliseconds: Float, source: SiteMap.Source) {
      map.roundTrip(map.site(of: 50) ?? -1, map.site(of: 51) ?? -1)
    }
    #expect(trip().source == .none && trip().milliseconds == .infinity)
    for device in 0..<3 {
      map.measured(device, 10 + device, milliseconds: 100 + Float(device))
    }
    #expect(trip().source == .prior && trip().milliseconds == 101)
    for liar in 100..<120 { map.measured(0, liar, milliseconds: 9000) }
    #expect(trip().milliseconds <= 102, "\(trip())")
    // What is measured goes before it.
    map.measured(50, 51, milliseconds: 130)
    #expect(trip().source == .measured && trip().milliseconds == 130)
  }
}
