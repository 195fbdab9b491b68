import IorunCore
import IorunScheduler
import TestSupport

/// A cluster and a request drawn from a seed, near enough to each other that about half fit.
struct RandomCluster: CustomStringConvertible {
  var offers: [NodeOffer]
  var request: GangRequest
  let seed: UInt64

  var description: String { "seed \(seed)" }

  init(seed: UInt64) {
    self.seed = seed
    var random = SeededGenerator(seed: seed)
    offers = (0..<Int.random(in: 0...8, using: &random)).map { index in
      Self.offer(index, using: &random)
    }
    let excluded = offers.map(\.node).filter { _ in Int.random(in: 0..<8, using: &random) == 0 }
    request = GangRequest(
      ranks: Int.random(in: 1...9, using: &random),
      resources: ResourceSet(
        milliCPUs: Int.random(in: 0...6, using: &random) * 500,
        gpus: [0, 0, 1, 2][Int.random(in: 0..<4, using: &random)],
        memory: .gibi(UInt64.random(in: 0...8, using: &random)),
        disk: .gibi(UInt64.random(in: 0...4, using: &random))),
      gpuModel: [nil, nil, "", "h100", "RTX"][Int.random(in: 0..<5, using: &random)],
      excluding: Set(excluded))
  }

  static func offer(_ index: Int, using random: inout SeededGenerator) -> NodeOffer {
    let models = ["NVIDIA H100 80GB", "NVIDIA GeForce RTX 4090"]
    let gpus = (0..<Int.random(in: 0...4, using: &random)).map { number in
      NodeFacts.GPU(
        model: models[Int.random(in: 0..<2, using: &random)], uuid: "GPU-\(index)-\(number)",
        memory: .gibi(24))
    }
    let usedGPUs = Set(gpus.indices.filter { _ in Int.random(in: 0..<3, using: &random) == 0 })
    let capacity = ResourceSet(
      milliCPUs: Int.random(in: 1...16, using: &random) * 1000, gpus: gpus.count,
      memory: .gibi(UInt64.random(in: 1...32, using: &random)),
      disk: .gibi(UInt64.random(in: 1...32, using: &random)))
    let used = ResourceSet(
      milliCPUs: Int.random(in: 0...(capacity.milliCPUs + 1000), using: &random),
      gpus: usedGPUs.count,
      memory: Bytes(UInt64.random(in: 0...capacity.memory.rawValue, using: &random)),
      disk: Bytes(UInt64.random(in: 0...capacity.disk.rawValue, using: &random)))
    return NodeOffer(
      node: PeerID(high: UInt64(index), low: random.next()), name: "node-\(index)",
      capacity: capacity, gpus: gpus, used: used, usedGPUs: usedGPUs,
      isPlaceable: Int.random(in: 0..<6, using: &random) != 0)
  }
}
