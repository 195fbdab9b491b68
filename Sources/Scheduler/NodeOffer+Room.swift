public import IorunCore

extension NodeOffer {
  /// The same node as if no job ran on it.
  public var idle: NodeOffer {
    var idle = self
    idle.used = ResourceSet()
    idle.usedGPUs = []
    return idle
  }

  /// A rank takes these resources and these of the GPUs.
  public mutating func take(_ resources: ResourceSet, gpus: some Sequence<Int>) {
    used = used + resources
    usedGPUs.formUnion(gpus)
  }

  /// A rank gives them back.
  public mutating func release(_ resources: ResourceSet, gpus: some Sequence<Int>) {
    used = used - resources
    usedGPUs.subtract(gpus)
  }

  /// The indices of the GPUs whose model has `model` in its name, ascending.
  func gpuIndices(matching model: String?) -> [Int] {
    guard let model, !model.isEmpty else { return Array(gpus.indices) }
    let part = model.lowercased()
    return gpus.indices.filter { gpus[$0].model.lowercased().contains(part) }
  }

  /// What the node could give to a gang that wants GPUs of `model` if no job ran.
  func idleRoom(gpuModel model: String?) -> ResourceSet {
    var room = capacity
    room[.gpus] = min(capacity[.gpus], UInt64(gpuIndices(matching: model).count))
    return room
  }

  /// The GPUs of `model` that no lease holds, ascending. Where the count of used GPUs and the set
  /// of used indices disagree, the larger use is believed: better idle than given twice.
  func freeGPUIndices(matching model: String?) -> [Int] {
    let free = gpuIndices(matching: model).filter { !usedGPUs.contains($0) }
    return Array(free.prefix(Int(clamping: remaining(.gpus))))
  }

  /// What the node can give now to a gang that wants GPUs of `model`.
  func freeRoom(gpuModel model: String?) -> ResourceSet {
    var room = ResourceSet()
    for kind in ResourceKind.allCases { room[kind] = remaining(kind) }
    room[.gpus] = UInt64(freeGPUIndices(matching: model).count)
    return room
  }

  /// What is left of one kind, none where more is used than there is.
  private func remaining(_ kind: ResourceKind) -> UInt64 {
    capacity[kind] >= used[kind] ? capacity[kind] - used[kind] : 0
  }
}
