import TestSupport
import Testing

@testable import IorunScheduler

struct GroupRefinementTests {
  @Test("What was foretold wrongly is not chosen once it was measured")
  func refine() throws {
    // Foretold: all equally near. Measured: 0, 1 and 2 are.
    let expected = try #require(
      LatencyMatrix(count: 5, milliseconds: Array(repeating: 10, count: 25)))
    var refinement = try #require(
      GroupRefinement(expected, capacities: [1, 1, 1, 1, 1], devices: 3))
    #expect(refinement.candidates.count == 4)
    #expect(refinement.pairs.count == 6)
    for (left, right) in refinement.pairs {
      let far = [left, right].contains(refinement.candidates[0])
      refinement.measured(left, right, milliseconds: far ? 90 : 12)
    }
    refinement.measured(99, 1, milliseconds: 1)
    let choice = try #require(refinement.choose())
    #expect(choice.shares.map(\.site) == Array(refinement.candidates[1...]))
    #expect(choice.maxRTTMilliseconds == 12)
    #expect(GroupRefinement(expected, capacities: [], devices: 1) == nil)
  }

  @Test("A pair that nobody measured is never part of a group")
  func unmeasured() throws {
    let expected = try #require(
      LatencyMatrix(count: 3, milliseconds: Array(repeating: 10, count: 9)))
    var refinement = try #require(GroupRefinement(expected, capacities: [1, 1, 1], devices: 2))
    #expect(refinement.choose() == nil)
    refinement.measured(0, 2, milliseconds: 7)
    #expect(refinement.choose()?.shares.map(\.site) == [0, 2])
  }
}
