import Foundation
import IorunCore
import TestSupport
import Testing

@testable import IorunMesh

@Suite("Measured round trips")
struct RoundTripMatrixTests {
  private func peer(_ number: Int) -> PeerID { PeerID(high: 5, low: UInt64(number)) }

  @Test("the newest, the median of three and the least of the window, in both directions")
  func figures() throws {
    var matrix = RoundTripMatrix()
    for (second, sample) in [Float(40), 44, 200, 42].enumerated() {
      matrix.take(peer(1), peer(2), milliseconds: sample, at: .seconds(second))
    }
    let entry = try #require(matrix.entry(peer(2), peer(1)))
    #expect(entry.newest == 42 && entry.median == 44 && entry.least == 40)
    #expect(entry.jitter > 5 && entry.loss == 0)
    // The least of long ago is forgotten, that of the window before is not.
    matrix.take(peer(1), peer(2), milliseconds: 60, at: .seconds(310))
    #expect(try #require(matrix.entry(peer(1), peer(2))).least == 40)
    matrix.take(peer(1), peer(2), milliseconds: 61, at: .seconds(620))
    #expect(try #require(matrix.entry(peer(1), peer(2))).least == 60)
    matrix.take(peer(1), peer(2), milliseconds: nil, at: .seconds(621))
    #expect(try #require(matrix.entry(peer(1), peer(2))).loss > 0.05)
  }

  @Test("what cannot be is ignored, and there is a bound")
  func bounds() {
    var matrix = RoundTripMatrix(limit: 2)
    for sample in [Float.nan, .infinity, -1, 0, 1e9] {
      matrix.take(peer(1), peer(2), milliseconds: sample, at: .zero)
    }
    matrix.take(peer(1), peer(1), milliseconds: 5, at: .zero)
    #expect(matrix.count == 0)
    for number in 2..<9 { matrix.take(peer(1), peer(number), milliseconds: 5, at: .zero) }
    #expect(matrix.count == 2)
    matrix.forget(peer(2))
    #expect(matrix.count == 1)
  }

  /// Round trips between hosts of PlanetLab, in milliseconds (NetLatency-Data, MIT).
  private static let planetLab: [[Float]]? = {
    let folder = ProcessInfo.processInfo.environment["IORUN_DATA"] ?? "../shared/data"
    guard
      let text = try? String(contentsOfFile: folder + "/latency/PlanetLabData_1", encoding: .utf8)
    else { return nil }
    return text.split(separator: "\n").map { line in
      line.split(whereSeparator: \.isWhitespace).compactMap { Float($0) }
    }
  }()

  @Test(
    "four probes a round and a landmark foretell the round trips of PlanetLab",
    .enabled(
      if: planetLab != nil,
      "there is no latency data in IORUN_DATA or ../shared/data: SKIPPED"))
  func planetLabCoordinates() throws {
    let table = try #require(Self.planetLab)
    let count = 60
    var generator = SeededGenerator(seed: 11)
    let hosts = Array(table.indices.shuffled(using: &generator).prefix(count))
    func truth(_ one: Int, _ other: Int) -> Float { table[hosts[one]][hosts[other]] }
    var coordinates = [NetworkCoordinate](repeating: NetworkCoordinate(), count: count)
    var matrix = RoundTripMatrix()
    let index = Dictionary(uniqueKeysWithValues: (0..<count).map { (peer($0), $0) })
    for round in 0..<30 {
      for one in 0..<count {
        // The first host stands for the head, which everybody measures.
        let targets = matrix.stalest(index.keys, for: peer(one), count: 4) + [peer(0)]
        for other in targets.compactMap({ index[$0] }) where other != one && truth(one, other) > 0 {
          matrix.take(
            peer(one), peer(other), milliseconds: truth(one, other), at: .seconds(round * 10))
          let there = coordinates[other]
          coordinates[one].update(
            towards: there, measuredMilliseconds: truth(one, other), random: &generator)
        }
      }
    }
    var errors: [Float] = []
    for one in 0..<count {
      for other in 0..<one where truth(one, other) > 0 {
        let expected = coordinates[one].expectedMilliseconds(to: coordinates[other])
        errors.append(abs(expected - truth(one, other)) / truth(one, other))
      }
    }
    let median = errors.sorted()[errors.count / 2]
    print("PlanetLab, \(count) hosts, 30 rounds of 5 probes: median relative error \(median)")
    #expect(median < 0.25)
    // Every pair was measured by then: the stalest is always asked for next.
    #expect(matrix.count > 1700)
  }
}
