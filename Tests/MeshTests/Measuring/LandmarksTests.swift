import IorunCore
import TestSupport
import Testing

@testable import IorunMesh

struct LandmarksTests {
  private func marks(_ count: Int) -> [PeerID] {
    (0..<count).map { PeerID(high: 50, low: UInt64($0)) }
  }

  @Test func `a pair is no farther than over a landmark, and no nearer than the difference`() {
    var landmarks = Landmarks()
    let mark = marks(2)
    landmarks.take([mark[0]: 100, mark[1]: 30], of: .anna)
    #expect(landmarks.bounds(.anna, .bert) == nil)
    #expect(landmarks.estimate(.anna, .bert, foretold: 7) == 7)
    landmarks.take([mark[0]: 20, mark[1]: 40], of: .bert)
    #expect(landmarks.bounds(.anna, .bert) == .init(least: 70, most: 70, count: 2))
    landmarks.take([mark[0]: 80, mark[1]: 40], of: .bert)
    #expect(landmarks.bounds(.anna, .bert) == .init(least: 20, most: 70, count: 2))
    #expect(landmarks.estimate(.anna, .bert, foretold: 5) == 20)
    #expect(landmarks.estimate(.anna, .bert, foretold: 50) == 50)
    #expect(landmarks.estimate(.anna, .bert, foretold: 500) == 70)
    #expect(landmarks.estimate(.anna, .bert, foretold: nil) == 70)
    landmarks.forget(.bert)
    #expect(landmarks.bounds(.anna, .bert) == nil)
  }

  @Test func `among points on a plane sixteen landmarks come closer than their mean distance`() {
    var random = SeededGenerator(seed: 4)
    func point() -> SIMD2<Float> {
      SIMD2(.random(in: 0...100, using: &random), .random(in: 0...100, using: &random))
    }
    func trip(_ one: SIMD2<Float>, _ other: SIMD2<Float>) -> Float {
      let way = one - other
      return 1 + (way * way).sum().squareRoot()
    }
    let mark = marks(16)
    let places = mark.map { _ in point() }
    let peers = (0..<60).map { PeerID(high: 60, low: UInt64($0)) }
    let homes = peers.map { _ in point() }
    var landmarks = Landmarks()
    for (peer, home) in zip(peers, homes) {
      landmarks.take(
        Dictionary(uniqueKeysWithValues: zip(mark, places.map { Double(trip(home, $0)) })),
        of: peer)
    }
    var errors: [Float] = []
    for one in peers.indices {
      for other in 0..<one {
        let true_ = trip(homes[one], homes[other])
        let guess = landmarks.estimate(peers[one], peers[other], foretold: nil) ?? 0
        #expect(guess >= true_ - 2, "a way over a landmark is no shorter")
        errors.append(abs(guess - true_) / true_)
      }
    }
    #expect(errors.sorted()[errors.count / 2] < 0.15)
  }

  @Test func `attack: what cannot be is ignored, and what is kept of a peer is bounded`() {
    var landmarks = Landmarks()
    let mark = marks(500)
    landmarks.take(
      [mark[0]: .nan, mark[1]: -1, mark[2]: .infinity, mark[3]: 1e9, .anna: 1], of: .anna)
    #expect(landmarks.trips(of: .anna).isEmpty)
    landmarks.take(Dictionary(uniqueKeysWithValues: mark.map { ($0, 5.0) }), of: .anna)
    #expect(landmarks.trips(of: .anna).count == Landmarks.limit)
  }
}
