import ArgumentParser
import IorunCore
import IorunScheduler

/// Chooses groups where most pairs were never measured: by coordinates alone, and again on fresh
/// measurements among the candidates. Both are judged by all measured pairs and the exact optimum.
struct Refine: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "refine", abstract: "Groups from coordinates, refined by few measurements.")

  @Option(help: ArgumentHelp("The matrix of round trips.", valueName: "FILE"))
  var matrix: String
  @Option(help: "Its format.")
  var format = MatrixFormat.netlatencyMilliseconds
  @Option(name: .customLong("k"), help: ArgumentHelp("Devices of a group.", valueName: "N"))
  var devices = 16
  @Option(help: "How many draws; half of the sites are empty in each.")
  var draws = 20
  @Option(help: "Seed of coordinates and draws.")
  var seed: UInt64 = 1
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard devices > 0, draws > 0 else {
      throw ValidationError("--k and --draws must be above 0")
    }
  }

  func run() throws {
    let measured = try format.read(matrix)
    var random = SplitMix64(seed: seed)
    let coordinates = Coordinates.settle(
      measured, neighbours: 32, rounds: 300, random: &random)
    var values = [Float](repeating: 0, count: measured.count * measured.count)
    for left in 0..<measured.count {
      for right in 0..<left {
        values[left * measured.count + right] =
          coordinates[left].expectedMilliseconds(to: coordinates[right])
      }
    }
    guard let expected = LatencyMatrix(count: measured.count, milliseconds: values) else {
      throw ValidationError("too many sites")
    }
    var (alone, refined): ([Double], [Double]) = ([], [])
    var (pairs, skipped) = (0, 0)
    for _ in 0..<draws {
      let capacities = (0..<measured.count).map { _ in Bool.random(using: &random) ? 1 : 0 }
      guard let best = GroupSelector(measured, capacities: capacities).choose(devices: devices),
        let foretold = GroupSelector(expected, capacities: capacities).choose(devices: devices),
        var refinement = GroupRefinement(expected, capacities: capacities, devices: devices)
      else {
        skipped += 1
        continue
      }
      for (left, right) in refinement.pairs {
        refinement.measured(left, right, milliseconds: measured[left, right])
      }
      pairs += refinement.pairs.count
      guard let choice = refinement.choose(), best.maxRTTMilliseconds > 0 else {
        skipped += 1
        continue
      }
      alone.append(
        Double(measured.longest(among: foretold.shares.map(\.site)) / best.maxRTTMilliseconds))
      refined.append(Double(choice.maxRTTMilliseconds / best.maxRTTMilliseconds))
    }
    guard !refined.isEmpty else { throw ValidationError("no draw had room for \(devices) devices") }
    Report([
      ("coordinates_mean_ratio", alone.reduce(0, +) / Double(alone.count)),
      ("refined_mean_ratio", refined.reduce(0, +) / Double(refined.count)),
      ("refined_max_ratio", refined.max() ?? 0),
      ("probed_pairs_mean", Double(pairs) / Double(refined.count)),
      ("draws", Double(refined.count)), ("draws_skipped", Double(skipped)),
    ]).print(asJSON: json)
  }
}
