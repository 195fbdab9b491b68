/// What a rank asks for, or what a node has left: counts that add and subtract.
public struct ResourceSet: Hashable, Codable, Sendable {
  /// Thousandths of a CPU core, so that half a core is exact.
  public var milliCPUs: Int
  /// Whole GPUs.
  public var gpus: Int
  /// Main memory.
  public var memory: Bytes
  /// Scratch disk.
  public var disk: Bytes

  /// Makes a set; everything that is not named is zero.
  public init(milliCPUs: Int = 0, gpus: Int = 0, memory: Bytes = .zero, disk: Bytes = .zero) {
    self.milliCPUs = milliCPUs
    self.gpus = gpus
    self.memory = memory
    self.disk = disk
  }

  /// True where every part of `request` is there.
  public func covers(_ request: ResourceSet) -> Bool {
    milliCPUs >= request.milliCPUs && gpus >= request.gpus && memory >= request.memory
      && disk >= request.disk
  }

  /// Adds part by part.
  public static func + (left: ResourceSet, right: ResourceSet) -> ResourceSet {
    ResourceSet(
      milliCPUs: left.milliCPUs + right.milliCPUs, gpus: left.gpus + right.gpus,
      memory: left.memory + right.memory, disk: left.disk + right.disk)
  }

  /// Takes away part by part; memory and disk stop at zero.
  public static func - (left: ResourceSet, right: ResourceSet) -> ResourceSet {
    ResourceSet(
      milliCPUs: left.milliCPUs - right.milliCPUs, gpus: left.gpus - right.gpus,
      memory: left.memory - right.memory, disk: left.disk - right.disk)
  }
}

extension ResourceSet: CustomStringConvertible {
  /// For example `2 CPUs, 1 GPU, 4 GiB memory`.
  public var description: String {
    var parts: [String] = []
    if milliCPUs > 0 {
      let text = milliCPUs % 1000 == 0 ? "\(milliCPUs / 1000)" : "\(Double(milliCPUs) / 1000)"
      parts.append("\(text) CPU\(milliCPUs == 1000 ? "" : "s")")
    }
    if gpus > 0 { parts.append("\(gpus) GPU\(gpus == 1 ? "" : "s")") }
    if memory > .zero { parts.append("\(memory) memory") }
    if disk > .zero { parts.append("\(disk) disk") }
    return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
  }
}
