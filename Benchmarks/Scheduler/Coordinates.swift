import ArgumentParser
import IorunCore
import IorunScheduler

/// Lets peers find their coordinates from a few measured neighbours each, and compares the round
/// trips that these foretell with the measured ones of all pairs.
struct Coordinates: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coordinates",
    abstract: "The error of network coordinates on measured round trips.")

  @Option(help: ArgumentHelp("The matrix of round trips.", valueName: "FILE"))
  var matrix: String
  @Option(help: "Its format.")
  var format = MatrixFormat.netlatencyMilliseconds
  @Option(help: "Neighbours that a peer measures.")
  var neighbours = 32
  @Option(help: "How often each neighbour is measured.")
  var rounds = 300
  @Option(help: "Seed of neighbours and order.")
  var seed: UInt64 = 1
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (1...10_000).contains(neighbours), (1...100_000).contains(rounds) else {
      throw ValidationError("--neighbours must be 1 to 10,000 and --rounds 1 to 100,000")
    }
  }

  func run() throws {
    let measured = try format.read(matrix)
    var random = SplitMix64(seed: seed)
    let coordinates = Self.settle(
      measured, neighbours: neighbours, rounds: rounds, random: &random)
    let count = measured.count
    var errors: [Float] = []
    for left in 0..<count {
      for right in 0..<left where measured[left, right] < .infinity {
        let expected = coordinates[left].expectedMilliseconds(to: coordinates[right])
        errors.append(abs(expected - measured[left, right]) / measured[left, right])
      }
    }
    errors.sort()
    guard !errors.isEmpty else { throw ValidationError("\(matrix) holds no round trip") }
    Report(
      [
        ("median_relative_error", Double(errors[errors.count / 2])),
        ("p90_relative_error", Double(errors[errors.count * 9 / 10])),
        ("peers", Double(count)), ("pairs", Double(errors.count)),
      ], beside: References.coordinates
    ).print(asJSON: json)
  }

  /// The coordinates that peers find from some neighbours each.
  static func settle(
    _ measured: LatencyMatrix, neighbours: Int, rounds: Int, random: inout SplitMix64
  ) -> [NetworkCoordinate] {
    let count = measured.count
    var coordinates = [NetworkCoordinate](repeating: NetworkCoordinate(), count: count)
    let peers = (0..<count).map { peer in
      Array(
        (0..<count).filter { $0 != peer && measured[peer, $0] < .infinity }
          .shuffled(using: &random).prefix(neighbours))
    }
    for _ in 0..<rounds * neighbours {
      for peer in (0..<count).shuffled(using: &random) {
        guard let other = peers[peer].randomElement(using: &random) else { continue }
        coordinates[peer].update(
          towards: coordinates[other], measuredMilliseconds: measured[peer, other],
          random: &random)
      }
    }
    return coordinates
  }
}
