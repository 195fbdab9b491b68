import ArgumentParser
import IorunCore
import IorunScheduler

/// Loses a part of a large network at once, and repairs every gang that it hit, by the decision that the
/// head makes (`NodeInventory.mend`, and `place` for gangs that move).
struct RepairBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair", abstract: "Time to repair all gangs after a sudden loss.")

  @Option(help: "Devices of the network, nine tenths of them in gangs.")
  var devices = 100_000
  @Option(help: "Devices of each node.")
  var nodeDevices = 5
  @Option(help: "How many of the nodes are lost at once, with their devices.")
  var lossPercent = 1.0
  @Option(help: "Sites of the network.")
  var sites = 500
  @Option(help: "Seed of sites, gangs and losses.")
  var seed: UInt64 = 1
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (1000...1_000_000).contains(devices), (1...4000).contains(sites),
      (1...64).contains(nodeDevices), lossPercent >= 0, lossPercent <= 100
    else {
      throw ValidationError(
        "--devices from 1,000 to 1,000,000, --sites to 4,000, --node-devices to 64, "
          + "--loss-percent to 100")
    }
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
    var network = RepairNetwork(
      devices: devices, perNode: nodeDevices, matrix: matrix, random: &random)
    let gangs = network.fill(devices * 9 / 10, random: &random)
    let losses = network.lose(percent: lossPercent, gangs, random: &random)
    var inventory = network.inventory
    // The head's rankings are there long before a loss.
    _ = inventory.place(GangRequest(ranks: 1, resources: RepairNetwork.rank))
    var timing = DecisionTimes(capacity: losses.count)
    var counts: [String: Int] = [:]
    var moving = Duration.zero
    let clock = ContinuousClock()
    let start = clock.now
    for gang in losses {
      let (kind, members, took) = timing.measure { Self.decide(gang, &inventory) }
      counts[kind, default: 0] += 1
      moving += took
      // As the head does: what the gang held is free, and taken anew.
      for seat in gang.seats {
        inventory.release(RepairNetwork.rank, gpus: seat.gpuIndices, on: seat.node)
      }
      for member in members {
        inventory.take(RepairNetwork.rank, gpus: member.gpuIndices, on: member.node)
      }
    }
    let took = (clock.now - start) / Duration.seconds(1)
    Report(
      [
        ("devices", Double(devices)), ("nodes", Double(inventory.offers.count)),
        ("sites", Double(sites)), ("gangs", Double(gangs.count)),
        ("gangs_hit", Double(losses.count)),
      ]
        + ["replaced", "degraded", "shrunk", "moved", "explained"].map {
          ($0, Double(counts[$0] ?? 0))
        } + [
          ("total_seconds", took), ("moving_seconds", moving / Duration.seconds(1)),
          ("p50_us", timing.microseconds(at: 0.5)), ("p99_us", timing.microseconds(at: 0.99)),
        ]
    ).print(asJSON: json)
  }

  /// What becomes of a gang, where its ranks go, and how long the search took for one that moves.
  private static func decide(
    _ gang: GangMending, _ inventory: inout NodeInventory
  ) -> (kind: String, members: [GangPlacement.Member], moving: Duration) {
    switch inventory.mend(gang) {
    case .mended(let members, joined: _, reached: nil): return ("replaced", members, .zero)
    case .mended(let members, joined: _, reached: _): return ("degraded", members, .zero)
    case .shrunk(let members): return ("shrunk", members, .zero)
    case nil: break
    }
    guard gang.onLoss == .migrate else { return ("explained", [], .zero) }
    let clock = ContinuousClock()
    let start = clock.now
    let answer = inventory.place(gang.request)
    let took = clock.now - start
    if case .placed(let placement) = answer { return ("moved", placement.members, took) }
    return ("explained", [], took)
  }
}
