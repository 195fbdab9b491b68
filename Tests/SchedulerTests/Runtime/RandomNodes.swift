import IorunCore
import IorunScheduler

extension ResourceAmounts {
  static func cpus(_ count: Double) -> ResourceAmounts {
    ResourceAmounts(units: ["CPU": Int64(count * 10_000)])
  }

  static func random(using random: inout some RandomNumberGenerator) -> ResourceAmounts {
    var units: [String: Int64] = ["CPU": Int64.random(in: 0...8, using: &random) * 10_000]
    if Int.random(in: 0..<3, using: &random) == 0 {
      units["GPU"] = Int64.random(in: 1...20, using: &random) * 1_000
    }
    if Int.random(in: 0..<4, using: &random) == 0 {
      units["slot"] = Int64.random(in: 1...3, using: &random) * 10_000
    }
    return ResourceAmounts(units: units)
  }
}

extension RuntimeNode {
  static func sample(_ number: Int, cpus: Double, roundTrip: Double? = nil) -> RuntimeNode {
    RuntimeNode(
      node: NodeID(high: 1, low: UInt64(number)), name: "node-\(number)", total: .cpus(cpus),
      available: .cpus(cpus), roundTripMilliseconds: roundTrip)
  }

  static func random(using random: inout some RandomNumberGenerator) -> [RuntimeNode] {
    (0..<Int.random(in: 0...6, using: &random)).map { number in
      var node = RuntimeNode.sample(number, cpus: 0, roundTrip: .random(in: 0...50, using: &random))
      node.total = ResourceAmounts.random(using: &random) + .cpus(1)
      node.available = ResourceAmounts(
        units: node.total.units.mapValues { Int64.random(in: 0...$0, using: &random) })
      node.isPlaceable = Int.random(in: 0..<8, using: &random) != 0
      return node
    }
  }
}
