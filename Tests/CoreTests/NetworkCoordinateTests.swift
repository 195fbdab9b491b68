import IorunCore
import Testing

/// Coordinates that foretell round trips.
struct NetworkCoordinateTests {
  @Test("Three peers on a line learn the distance of a pair that never measured each other")
  func line() {
    var generator = SystemRandomNumberGenerator()
    var peers = [NetworkCoordinate](repeating: NetworkCoordinate(), count: 4)
    let places: [Float] = [0, 20, 50, 90]
    for _ in 0..<4000 {
      for left in 0..<4 {
        for right in 0..<4 where left != right && left + right != 3 {
          peers[left].update(
            towards: peers[right], measuredMilliseconds: abs(places[left] - places[right]),
            random: &generator)
        }
      }
    }
    // 0 and 3 measured 1 and 2 only, which leaves several answers; all lie near the true one.
    #expect(abs(peers[0].expectedMilliseconds(to: peers[1]) - 20) < 2)
    #expect(abs(peers[1].expectedMilliseconds(to: peers[3]) - 70) < 7)
  }

  @Test("Measurements that cannot be change nothing")
  func nonsense() {
    var generator = SystemRandomNumberGenerator()
    var coordinate = NetworkCoordinate()
    for measured in [Float.nan, .infinity, 0, -1, 1e30] {
      coordinate.update(
        towards: NetworkCoordinate(), measuredMilliseconds: measured, random: &generator)
    }
    #expect(coordinate == NetworkCoordinate())
  }

  @Test("A coordinate that a peer cannot have is refused")
  func refused() {
    var far = SIMD8<Float>(repeating: 0)
    #expect(NetworkCoordinate(position: far, heightMilliseconds: -1, error: 1) == nil)
    #expect(NetworkCoordinate(position: far, heightMilliseconds: 1, error: .nan) == nil)
    far[3] = .infinity
    #expect(NetworkCoordinate(position: far, heightMilliseconds: 1, error: 1) == nil)
    far[3] = .nan
    #expect(NetworkCoordinate(position: far, heightMilliseconds: 1, error: 1) == nil)
  }
}
