import ArgumentParser
import IorunScheduler

/// Chooses groups from measured round trips, half of the sites empty in each draw, and compares the
/// longest round trip with the exact optimum, or with its proved bound where that was not reached.
struct Group: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "group", abstract: "Groups of sites with short round trips.")

  enum Capacities: String, ExpressibleByArgument, CaseIterable {
    case unit
    case heavy
  }

  @Option(help: ArgumentHelp("The matrix of round trips.", valueName: "FILE"))
  var matrix: String
  @Option(help: "Its format.")
  var format = MatrixFormat.netlatencyMilliseconds
  @Option(
    help: ArgumentHelp(
      "A matrix of the same sites at another time, by which the choice is judged.",
      valueName: "FILE"))
  var judgedBy: String?
  @Option(name: .customLong("k"), help: ArgumentHelp("Devices of a group.", valueName: "N"))
  var devices = 16
  @Option(help: "One device a site, or 1 to 16 with a heavy tail.")
  var capacities = Capacities.unit
  @Option(help: "How many draws.")
  var draws = 60
  @Option(help: "Seed of the draws.")
  var seed: UInt64 = 1
  @Option(help: "Branches that a choice may look at; the optimum gets ten times as many.")
  var steps = 200_000
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard devices > 0, draws > 0, steps > 0 else {
      throw ValidationError("--k, --draws and --steps must be above 0")
    }
  }

  func run() throws {
    let measured = try format.read(matrix)
    let judge = try judgedBy.map { try format.read($0) }
    guard judge.map({ $0.count == measured.count }) ?? true else {
      throw ValidationError("the two matrices have different sizes")
    }
    var random = SplitMix64(seed: seed)
    var timing = DecisionTimes(capacity: draws)
    var ratios: [Double] = []
    var judged: [Double] = []
    var largestGap = 0.0
    var (unproved, withoutRoom, notFound) = (0, 0, 0)
    for _ in 0..<draws {
      let capacities = draw(measured.count, random: &random)
      let selector = GroupSelector(measured, capacities: capacities)
      let choice = timing.measure { selector.choose(devices: devices, steps: steps) }
      guard let best = selector.choose(devices: devices, steps: steps * 10) else {
        withoutRoom += 1
        continue
      }
      guard let choice else {
        notFound += 1
        continue
      }
      if best.optimalityGap > 0 { unproved += 1 }
      // Where nothing above 0 is proved, the longer search is what there is to compare with.
      let bound = Double(best.lowerBoundMilliseconds)
      let optimum = bound > 0 ? bound : Double(best.maxRTTMilliseconds)
      ratios.append(optimum > 0 ? Double(choice.maxRTTMilliseconds) / optimum : 1)
      largestGap = max(largestGap, Double(choice.optimalityGap))
      if let judge {
        let ours = judge.longest(among: choice.shares.map(\.site))
        let exact = judge.longest(among: best.shares.map(\.site))
        if exact > 0, exact.isFinite { judged.append(Double(ours / exact)) }
      }
    }
    guard !ratios.isEmpty else {
      throw ValidationError("no draw had room for \(devices) devices")
    }
    var values: [(String, Double)] = [
      ("mean_ratio", ratios.reduce(0, +) / Double(ratios.count)),
      ("max_ratio", ratios.max() ?? 0),
      ("claimed_gap_max", largestGap),
      ("median_us", timing.microseconds(at: 0.5)),
      ("p99_us", timing.microseconds(at: 0.99)),
      ("draws", Double(ratios.count)),
      ("optimum_unproved", Double(unproved)),
      ("draws_without_room", Double(withoutRoom)),
      ("draws_not_found", Double(notFound)),
    ]
    if !judged.isEmpty {
      values.append(("judged_mean_ratio", judged.reduce(0, +) / Double(judged.count)))
    }
    Report(values, beside: References.groups).print(asJSON: json)
  }

  /// Half of the sites are empty, or as many fewer as the group needs.
  private func draw(_ count: Int, random: inout SplitMix64) -> [Int] {
    var drawn = half(count, random: &random)
    var sum = drawn.reduce(0, +)
    guard sum < devices else { return drawn }
    for site in (0..<count).shuffled(using: &random) where sum < devices && drawn[site] == 0 {
      drawn[site] = 1
      sum += 1
    }
    return drawn
  }

  private func half(_ count: Int, random: inout SplitMix64) -> [Int] {
    (0..<count).map { _ in
      guard Bool.random(using: &random) else { return 0 }
      switch capacities {
      case .unit: return 1
      case .heavy:
        // Log-uniform: as many sites between 1 and 4 as between 4 and 16.
        let sixteenths = [1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8, 10, 13, 16]
        return sixteenths.randomElement(using: &random) ?? 1
      }
    }
  }
}
