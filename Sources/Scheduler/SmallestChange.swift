internal import IorunCore

/// Looks for the smallest change of a single part of a request that makes it fit: the nearest miss.
struct SmallestChange {
  let request: GangRequest
  /// The nodes that are alive and not excluded.
  let offers: [NodeOffer]

  /// True where all ranks find room, on idle nodes or on the nodes as they are now.
  func fits(_ request: GangRequest, whenIdle: Bool) -> Bool {
    slots(for: request, in: rooms(gpuModel: request.gpuModel, whenIdle: whenIdle)) >= request.ranks
  }

  /// The change, for a person, for example `lower memory to 24 GiB`; `nil` where none is enough.
  func smallestChange(whenIdle: Bool) -> String? {
    let rooms = rooms(gpuModel: request.gpuModel, whenIdle: whenIdle)
    var best: (kept: Double, words: String)?
    func consider(_ kept: Double, _ words: @autoclosure () -> String) {
      // Strictly more must be kept to displace an earlier find: ties go to the first.
      if kept > best?.kept ?? 0 { best = (kept, words()) }
    }
    for kind in ResourceKind.allCases {
      guard let value = greatest(of: kind, in: rooms) else { continue }
      consider(
        Double(value) / Double(request.resources[kind]),
        "lower \(kind.key) to \(kind.amount(value))")
    }
    let ranks = slots(for: request, in: rooms)
    if ranks > 0 {
      consider(Double(ranks) / Double(request.ranks), "lower ranks to \(ranks)")
    }
    return best?.words ?? otherModel(whenIdle: whenIdle)
  }

  /// The greatest amount of `kind`, below what is asked for, with which the gang fits.
  private func greatest(of kind: ResourceKind, in rooms: [ResourceSet]) -> UInt64? {
    var changed = request
    func fits(_ value: UInt64) -> Bool {
      changed.resources[kind] = value
      return slots(for: changed, in: rooms) >= changed.ranks
    }
    let least = kind.leastWorthAsking
    guard request.resources[kind] > least, fits(least) else { return nil }
    // Less never fits worse, so halving finds the edge: `low` fits, `high` does not.
    var (low, high) = (least, request.resources[kind])
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if fits(middle) { low = middle } else { high = middle }
    }
    return low
  }

  /// What to say where only the GPU model is in the way.
  private func otherModel(whenIdle: Bool) -> String? {
    guard let model = request.gpuModel, !model.isEmpty, request.resources.gpus > 0 else {
      return nil
    }
    var changed = request
    changed.gpuModel = nil
    guard fits(changed, whenIdle: whenIdle) else { return nil }
    let models = Set(offers.flatMap { $0.gpus.map(\.model) }).sorted().filter { model in
      changed.gpuModel = model
      return fits(changed, whenIdle: whenIdle)
    }
    guard !models.isEmpty else { return "leave out gpu_model" }
    let names = models.prefix(3).map { "'\($0)'" }.joined(separator: " or ")
    return "leave out gpu_model or set it to \(names)"
  }

  private func rooms(gpuModel model: String?, whenIdle: Bool) -> [ResourceSet] {
    offers.map { whenIdle ? $0.idleRoom(gpuModel: model) : $0.freeRoom(gpuModel: model) }
  }

  /// How many ranks find room, counted up to all of them.
  private func slots(for request: GangRequest, in rooms: [ResourceSet]) -> Int {
    var slots = 0
    for room in rooms where slots < request.ranks {
      slots += room.slots(for: request.resources, limit: request.ranks - slots)
    }
    return slots
  }
}

extension ResourceKind {
  /// Less than this is no help to anybody who asked for more.
  fileprivate var leastWorthAsking: UInt64 {
    switch self {
    case .gpus: 1
    case .cpus: 100
    case .memory, .disk: Bytes.mebi(1).rawValue
    }
  }
}
