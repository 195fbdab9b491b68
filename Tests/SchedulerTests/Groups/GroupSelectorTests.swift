import TestSupport
import Testing

@testable import IorunScheduler

/// The shortest longest round trip of a group, beside every subset's.
struct GroupSelectorTests {
  @Test(
    "The choice is the optimum of all subsets, and says so",
    arguments: 1...60 as ClosedRange<UInt64>)
  func optimal(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let (matrix, capacities) = Self.world(sites: 9, random: &random)
    for devices in [1, 3, 5, 9, 20] {
      let choice = GroupSelector(matrix, capacities: capacities).choose(devices: devices)
      let best = Self.bruteForce(matrix, capacities, devices)
      #expect(choice?.maxRTTMilliseconds == best, "seed \(seed), \(devices) devices")
      guard let choice else { continue }
      #expect(choice.optimalityGap == 0)
      try Self.check(choice, matrix, capacities, devices)
    }
  }

  @Test(
    "On a plane and on the globe's detours, larger groups are the optimum of a plain search",
    arguments: 1...5 as ClosedRange<UInt64>)
  func optimalOnPlane(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let points = (0..<12).map { _ in SIMD2<Float>.random(in: 0...100, using: &random) }
    let values = points.flatMap { left in
      points.map { right in
        let square = (left - right) * (left - right)
        return (square.x + square.y).squareRoot()
      }
    }
    // Detours break the triangle rule.
    let detours = values.map { $0 * Float.random(in: 1...1.4, using: &random) }
    let matrix = try #require(LatencyMatrix(count: 12, milliseconds: detours))
    let capacities = (0..<12).map { _ in Int.random(in: 1...3, using: &random) }
    for devices in [4, 8, 12, 18] {
      let choice = try #require(
        GroupSelector(matrix, capacities: capacities).choose(devices: devices))
      #expect(choice.maxRTTMilliseconds == Self.bruteForce(matrix, capacities, devices))
      #expect(choice.optimalityGap == 0)
    }
  }

  @Test("Out of steps, the gap is never understated", arguments: 1...30 as ClosedRange<UInt64>)
  func gapHolds(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let (matrix, capacities) = Self.world(sites: 11, random: &random)
    guard let best = Self.bruteForce(matrix, capacities, 6) else { return }
    for steps in [0, 1, 3, 10] {
      guard
        let choice = GroupSelector(matrix, capacities: capacities).choose(devices: 6, steps: steps)
      else { continue }
      #expect(choice.lowerBoundMilliseconds <= best, "seed \(seed), \(steps) steps")
      #expect(choice.maxRTTMilliseconds <= best * (1 + choice.optimalityGap) * 1.0001 || best == 0)
      try Self.check(choice, matrix, capacities, 6)
    }
  }

  @Test("More steps never prove less, and with enough of them a hard case is proved")
  func stepsCount() throws {
    var random = SeededGenerator(seed: 5)
    // Without any geometry, and in more than one word of bits.
    let values = (0..<70 * 70).map { _ in Float.random(in: 1...300, using: &random) }
    let matrix = try #require(LatencyMatrix(count: 70, milliseconds: values))
    let selector = GroupSelector(matrix, capacities: Array(repeating: 1, count: 70))
    let hurried = try #require(selector.choose(devices: 7, steps: 3))
    let patient = try #require(selector.choose(devices: 7))
    #expect(hurried.lowerBoundMilliseconds <= patient.maxRTTMilliseconds)
    #expect(patient.optimalityGap == 0)
    #expect(patient.maxRTTMilliseconds <= hurried.maxRTTMilliseconds)
  }

  @Test("A limit is kept, and holes in the matrix are never part of a group")
  func limit() throws {
    let hole = Float.nan
    let matrix = try #require(
      LatencyMatrix(count: 3, milliseconds: [0, 5, hole, 5, 0, 0, hole, -3, 0]))
    #expect(matrix[0, 2] == .infinity)
    #expect(matrix[1, 2] == .infinity)
    let selector = GroupSelector(matrix, capacities: [1, 1, 1])
    #expect(selector.choose(devices: 2)?.shares.map(\.site) == [0, 1])
    #expect(selector.choose(devices: 2, maxRTTMilliseconds: 4) == nil)
    #expect(selector.choose(devices: 3) == nil)
    #expect(selector.choose(devices: 0) == nil)
    #expect(GroupSelector(matrix, capacities: [-4]).choose(devices: 1) == nil)
  }

  @Test("Where directions differ the worse one counts, and a lone direction counts for both")
  func asymmetry() throws {
    let matrix = try #require(LatencyMatrix(count: 2, milliseconds: [9, 3, 8, 9]))
    #expect(matrix[0, 1] == 8)
    #expect(matrix[0, 0] == 0)
    let lone = try #require(LatencyMatrix(count: 2, milliseconds: [0, 3, .infinity, 0]))
    #expect(lone[1, 0] == 3)
    #expect(LatencyMatrix(count: 2, milliseconds: [0, 1, 2]) == nil)
  }

  @Test("One site that holds the group is the answer, and the tightest of several")
  func oneSite() throws {
    let matrix = try #require(LatencyMatrix(count: 3, milliseconds: Array(repeating: 7, count: 9)))
    let choice = try #require(GroupSelector(matrix, capacities: [64, 8, 9]).choose(devices: 8))
    #expect(choice.shares == [GroupChoice.Share(site: 1, devices: 8)])
    #expect(choice.maxRTTMilliseconds == 0)
  }

  private static func world(
    sites: Int, random: inout SeededGenerator
  ) -> (LatencyMatrix, [Int]) {
    var values = [Float](repeating: 0, count: sites * sites)
    for index in values.indices {
      // A hole now and then; no triangle inequality, as on the internet.
      values[index] =
        Int.random(in: 0..<8, using: &random) == 0
        ? 0 : Float(Int.random(in: 1...40, using: &random))
    }
    let capacities = (0..<sites).map { _ in Int.random(in: 0...3, using: &random) }
    return (LatencyMatrix(count: sites, milliseconds: values)!, capacities)
  }

  private static func bruteForce(
    _ matrix: LatencyMatrix, _ capacities: [Int], _ devices: Int
  ) -> Float? {
    var best: Float?
    for subset in 1..<(1 << matrix.count) {
      let sites = (0..<matrix.count).filter { subset >> $0 & 1 == 1 && capacities[$0] > 0 }
      guard sites.reduce(0, { $0 + capacities[$1] }) >= devices else { continue }
      var longest: Float = 0
      for left in sites { for right in sites { longest = max(longest, matrix[left, right]) } }
      if longest < best ?? .infinity { best = longest }
    }
    return best
  }

  private static func check(
    _ choice: GroupChoice, _ matrix: LatencyMatrix, _ capacities: [Int], _ devices: Int
  ) throws {
    #expect(choice.shares.reduce(0) { $0 + $1.devices } == devices)
    for share in choice.shares {
      #expect(share.devices > 0 && share.devices <= capacities[share.site])
      for other in choice.shares {
        #expect(matrix[share.site, other.site] <= choice.maxRTTMilliseconds)
      }
    }
  }
}
