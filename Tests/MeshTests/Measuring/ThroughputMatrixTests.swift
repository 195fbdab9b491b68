import IorunCore
import Testing

@testable import IorunMesh

@Suite("Measured throughputs")
struct ThroughputMatrixTests {
  private func peer(_ number: Int) -> PeerID { PeerID(high: 5, low: UInt64(number)) }

  @Test("each direction is kept for itself, the newest counts, what cannot be is ignored")
  func figures() {
    var matrix = ThroughputMatrix(limit: 2)
    matrix.take(from: peer(1), to: peer(2), megabitsPerSecond: 900, at: .zero)
    matrix.take(from: peer(1), to: peer(2), megabitsPerSecond: 800, at: .seconds(5))
    matrix.take(from: peer(2), to: peer(1), megabitsPerSecond: 20, at: .zero)
    for wrong in [Float.nan, .infinity, -1, 0, 1e9] {
      matrix.take(from: peer(1), to: peer(2), megabitsPerSecond: wrong, at: .seconds(9))
    }
    matrix.take(from: peer(1), to: peer(1), megabitsPerSecond: 5, at: .zero)
    matrix.take(from: peer(1), to: peer(3), megabitsPerSecond: 5, at: .zero)
    #expect(
      matrix.entry(from: peer(1), to: peer(2))
        == .init(megabitsPerSecond: 800, measuredAt: .seconds(5)))
    #expect(matrix.entry(from: peer(2), to: peer(1))?.megabitsPerSecond == 20)
    #expect(matrix.count == 2, "there is a bound")
    matrix.forget(peer(2))
    #expect(matrix.count == 0)
  }
}
