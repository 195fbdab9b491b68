import ArgumentParser
import IorunScheduler

/// Loses a part of a large network at once, and repairs every gang that it hit.
struct RepairBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair", abstract: "Time to repair all gangs after a sudden loss.")

  @Option(help: "Devices of the network, nine tenths of them in gangs.")
  var devices = 100_000
  @Option(help: "How many of them are lost at once.")
  var lossPercent = 1.0
  @Option(help: "Sites of the network.")
  var sites = 500
  @Option(help: "Seed of sites, gangs and losses.")
  var seed: UInt64 = 1
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (1000...10_000_000).contains(devices), (1...4000).contains(sites),
      lossPercent >= 0, lossPercent <= 100
    else { throw ValidationError("--devices from 1,000, --sites to 4,000, --loss-percent to 100") }
  }

  func run() throws {
    var random = SplitMix64(seed: seed)
    // Places on a square of 150 ms, and up to 3 ms of each site's own.
    let places = (0..<sites).map { _ in
      (
        x: Float.random(in: 0...150, using: &random), y: Float.random(in: 0...150, using: &random),
        own: Float.random(in: 0...3, using: &random)
      )
    }
    var values = [Float](repeating: 0, count: sites * sites)
    for left in 0..<sites {
      for right in 0..<sites where left != right {
        let (dx, dy) = (places[left].x - places[right].x, places[left].y - places[right].y)
        values[left * sites + right] =
          (dx * dx + dy * dy).squareRoot() + places[left].own + places[right].own
      }
    }
    guard let matrix = LatencyMatrix(count: sites, milliseconds: values) else {
      throw ValidationError("too many sites")
    }
    var free = [Int](repeating: 0, count: sites)
    for _ in 0..<devices { free[Int.random(in: 0..<sites, using: &random)] += 1 }
    let gangs = Self.gangs(of: devices * 9 / 10, matrix, free: &free, random: &random)
    let losses = gangs.map { gang in
      var gang = gang
      for (site, count) in gang.left.sorted(by: { $0.key < $1.key }) {
        let lost = (0..<count).count { _ in
          Double.random(in: 0..<100, using: &random) < lossPercent
        }
        gang.left[site] = count - lost
        if lost > 0 { gang.lost[site] = lost }
      }
      return gang
    }
    .filter { !$0.lost.isEmpty }
    for site in free.indices {
      free[site] -= (0..<free[site]).count { _ in
        Double.random(in: 0..<100, using: &random) < lossPercent
      }
    }
    var planner = RepairPlanner(matrix, free: free)
    var timing = DecisionTimes(capacity: losses.count)
    var counts: [String: Int] = [:]
    let clock = ContinuousClock()
    let start = clock.now
    for loss in losses {
      let answer = timing.measure { Result { try planner.repair(loss) } }
      switch try answer.get() {
      case .replaced: counts["replaced", default: 0] += 1
      case .degraded: counts["degraded", default: 0] += 1
      case .shrunk: counts["shrunk", default: 0] += 1
      case .migrated: counts["migrated", default: 0] += 1
      case .impossible: counts["explained", default: 0] += 1
      }
    }
    let took = (clock.now - start) / Duration.seconds(1)
    Report(
      [
        ("devices", Double(devices)), ("sites", Double(sites)), ("gangs", Double(gangs.count)),
        ("gangs_hit", Double(losses.count)),
      ]
        + ["replaced", "degraded", "shrunk", "migrated", "explained"].map {
          ($0, Double(counts[$0] ?? 0))
        } + [
          ("total_seconds", took), ("p50_us", timing.microseconds(at: 0.5)),
          ("p99_us", timing.microseconds(at: 0.99)),
        ]
    ).print(asJSON: json)
  }

  /// Gangs of 1 to 256 devices, each from the sites nearest to some site.
  private static func gangs(
    of devices: Int, _ matrix: LatencyMatrix, free: inout [Int], random: inout SplitMix64
  ) -> [RepairPlanner.Casualty] {
    var gangs: [RepairPlanner.Casualty] = []
    var open = devices
    while open > 0 {
      let size = min(open, 1 << Int.random(in: 0...8, using: &random))
      let home = Int.random(in: 0..<matrix.count, using: &random)
      let order = free.indices.sorted { (matrix[home, $0], $0) < (matrix[home, $1], $1) }
      var missing = size
      var members: [Int: Int] = [:]
      for site in order where missing > 0 && free[site] > 0 {
        let count = min(missing, free[site])
        free[site] -= count
        missing -= count
        members[site] = count
      }
      open -= size
      let reached = matrix.longest(among: members.keys.sorted())
      gangs.append(
        RepairPlanner.Casualty(
          left: members, lost: [:], maxRTTMilliseconds: max(5, reached * 1.1)))
    }
    return gangs
  }
}
