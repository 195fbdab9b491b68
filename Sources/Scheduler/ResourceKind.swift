internal import IorunCore

/// The countable things that placement weighs, in the order in which a refusal names them.
enum ResourceKind: CaseIterable {
  case gpus, cpus, memory, disk
}

extension ResourceSet {
  /// The amount of one kind: pieces, thousandths of a core, or bytes. A negative amount, which only
  /// wrong bookkeeping can make, counts as none.
  subscript(kind: ResourceKind) -> UInt64 {
    get {
      switch kind {
      case .gpus: UInt64(max(0, gpus))
      case .cpus: UInt64(max(0, milliCPUs))
      case .memory: memory.rawValue
      case .disk: disk.rawValue
      }
    }
    set {
      switch kind {
      case .gpus: gpus = Int(clamping: newValue)
      case .cpus: milliCPUs = Int(clamping: newValue)
      case .memory: memory = Bytes(newValue)
      case .disk: disk = Bytes(newValue)
      }
    }
  }

  /// How many times `request` fits in here, counted up to `limit`.
  func slots(for request: ResourceSet, limit: Int) -> Int {
    var slots = UInt64(max(0, limit))
    for kind in ResourceKind.allCases where request[kind] > 0 {
      slots = min(slots, self[kind] / request[kind])
    }
    return Int(slots)
  }
}
