internal import IorunCore

/// Amounts in JSON, each key with its unit.
public struct ResourceView: Encodable, Sendable {
  let cpus: Double
  let gpus: Int
  let memoryBytes: UInt64
  let diskBytes: UInt64

  init(_ resources: ResourceSet) {
    cpus = Double(resources.milliCPUs) / 1000
    gpus = resources.gpus
    memoryBytes = resources.memory.rawValue
    diskBytes = resources.disk.rawValue
  }
}
