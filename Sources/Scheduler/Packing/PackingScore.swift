internal import IorunCore

/// Scores nodes for a single rank by how useful what it leaves over stays to the mix that is asked for:
/// `NodePotential` on the offers of a live network.
public struct PackingScore: Sendable {
  let potential: NodePotential
  /// The GPU models of the network in lower case; a model's place here is its hardware class.
  private let models: [String]

  /// The most kinds of ranks that the mix holds; the rarest are left out.
  private static let mostShapes = 64

  /// Reads the mix.
  ///
  /// - Parameter models: the GPU models of all nodes.
  public init(_ history: PackingHistory, models: some Sequence<String>) {
    let models = Array(Set(models.map { $0.lowercased() }).sorted().prefix(ClassSet.capacity))
    var counts: [PackingShape: Int] = [:]
    for (ask, count) in history.counts {
      guard let shape = PackingShape(ask.resources, like: ask.gpuModel, among: models) else {
        continue
      }
      counts[shape, default: 0] += count
    }
    let common = counts.sorted { left, right in
      left.value == right.value ? left.key.isBefore(right.key) : left.value > right.value
    }
    let typical = TypicalTasks(
      Dictionary(uniqueKeysWithValues: common.prefix(Self.mostShapes).map { ($0.key, $0.value) }))
    potential = NodePotential(tasks: typical, countsStrandedGPU: true)
    self.models = models
  }

  /// From 1, where GPUs become of no use, over 51, where nothing changes, to 101; 0 where the rank has
  /// no room, or is nothing that packing knows.
  func score(_ resources: ResourceSet, gpuModel: String?, on offer: NodeOffer) -> UInt8 {
    guard let shape = shape(resources, gpuModel: gpuModel) else { return 0 }
    let room = room(of: offer)
    return potential.evaluate(shape, on: room, before: potential.value(room)).score
  }

  /// A rank as a shape; `nil` for amounts that packing does not know.
  func shape(_ resources: ResourceSet, gpuModel: String?) -> PackingShape? {
    PackingShape(resources, like: (gpuModel ?? "").lowercased(), among: models)
  }

  /// True where rooms of nodes are the same by another mix.
  func hasSameModels(as other: PackingScore) -> Bool { models == other.models }

  /// What is free on a node.
  func room(of offer: NodeOffer) -> NodeRoom { NodeRoom(offer, models: models) }
}

extension PackingShape {
  /// A rank as a shape; `nil` for amounts that packing does not know.
  fileprivate init?(_ resources: ResourceSet, like part: String, among models: [String]) {
    let named = models.indices.filter { part.isEmpty || models[$0].contains(part) }
    self.init(
      cpuMilli: resources.milliCPUs, memoryMiB: Int(clamping: resources.memory.rawValue >> 20),
      gpuCount: resources.gpus, gpuMilli: resources.gpus > 0 ? Int(Self.wholeGPU) : 0,
      // A rank without GPUs runs beside any.
      classes: resources.gpus == 0 || part.isEmpty ? .all : ClassSet(named))
  }
}

extension NodeRoom {
  /// What is free on a live node. Of a node with very many GPUs the first are looked at.
  fileprivate init(_ offer: NodeOffer, models: [String]) {
    let free = offer.freeRoom(gpuModel: nil)
    let freeGPUs = Set(offer.freeGPUIndices(matching: nil))
    let count = min(offer.gpus.count, PackingShape.gpusPerNode)
    var gpus = SIMD16<Int16>(repeating: 0)
    for index in 0..<count where freeGPUs.contains(index) {
      gpus[index] = Int16(PackingShape.wholeGPU)
    }
    let model = offer.gpus.first.flatMap { models.firstIndex(of: $0.model.lowercased()) } ?? 0
    self.init(
      cpuMilli: Int32(clamping: free[.cpus]), memoryMiB: Int32(clamping: free[.memory] >> 20),
      gpus: gpus, gpuCount: UInt8(count), hardwareClass: UInt8(model))
  }
}
