import IorunScheduler
import Testing

@Suite("A matrix of round trips that came from anywhere")
struct LatencyMatrixTests {
  @Test(
    "zeros and what is no round trip count as missing; the other direction counts for both")
  func holes() throws {
    let wrong: [Float] = [0, -1, .nan, .infinity, -.infinity, -0.0]
    for value in wrong {
      let both = try #require(LatencyMatrix(count: 2, milliseconds: [9, value, value, 9]))
      #expect(both[0, 1] == .infinity && both[1, 0] == .infinity, "\(value)")
      let one = try #require(LatencyMatrix(count: 2, milliseconds: [9, value, 30, 9]))
      #expect(one[0, 1] == 30 && one[1, 0] == 30, "\(value)")
      let other = try #require(LatencyMatrix(count: 2, milliseconds: [9, 30, value, 9]))
      #expect(other[0, 1] == 30 && other[1, 0] == 30, "\(value)")
      var replaced = one
      replaced.replace(0, 1, with: value)
      #expect(replaced == one, "\(value)")
    }
  }

  @Test("the diagonal is 0 whatever was told, and the worse of two directions counts")
  func asymmetry() throws {
    let matrix = try #require(
      LatencyMatrix(count: 3, milliseconds: [7, 10, 20, 12, -1, 30, 20, 5, .nan]))
    #expect((0..<3).allSatisfy { matrix[$0, $0] == 0 })
    #expect(matrix[0, 1] == 12 && matrix[1, 0] == 12)
    #expect(matrix[1, 2] == 30 && matrix[2, 1] == 30)
    #expect(matrix.longest(among: [0, 1, 2]) == 30)
    #expect(matrix.longest(among: [1]) == 0 && matrix.longest(among: []) == 0)
  }

  @Test("a wrong size is no matrix")
  func size() {
    #expect(LatencyMatrix(count: 2, milliseconds: [0, 1, 1]) == nil)
    #expect(LatencyMatrix(count: -1, milliseconds: []) == nil)
    #expect(LatencyMatrix(count: 1 << 16, milliseconds: []) == nil)
    #expect(LatencyMatrix(count: 0, milliseconds: [])?.count == 0)
  }

  @Test(
    "a zero between two sites places nobody there: that round trip is not known")
  func zerosPlaceNobody() throws {
    // Off the diagonal a zero would be the shortest of all round trips, if it were one.
    let matrix = try #require(
      LatencyMatrix(count: 3, milliseconds: [0, 0, 40, 0, 0, 50, 40, 50, 0]))
    let selector = GroupSelector(matrix, capacities: [1, 1, 1])
    let choice = selector.choose(devices: 2, maxRTTMilliseconds: .infinity, steps: 1000)
    #expect(choice?.shares.map(\.site).sorted() == [0, 2])
    #expect(selector.choose(devices: 2, maxRTTMilliseconds: 30, steps: 1000) == nil)
    #expect(selector.choose(devices: 3, maxRTTMilliseconds: 1000, steps: 1000) == nil)
  }
}
