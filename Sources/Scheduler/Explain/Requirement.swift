/// What a device must meet for a bundle, in the order in which a funnel asks: the first one that a
/// device fails is what it is counted under.
public enum Requirement: UInt8, Sendable, Hashable, CaseIterable {
  /// It may be given work.
  case excluded
  /// Its class and model.
  case model
  /// The memory of each accelerator.
  case deviceMemory
  /// Accelerators, cores, memory, disk of the machine.
  case gpus, cpus, memory, disk
  /// Where it is.
  case place
  /// How far it was checked.
  case verification
  /// Its certificates.
  case security
  /// Its way to the internet.
  case tier
  /// Its labels.
  case labels
  /// What it costs.
  case price
  /// How reliable it was.
  case reliability
  /// Room that no lease holds.
  case busy
  /// Near enough to the others.
  case roundTrip

  var bit: UInt32 { 1 << UInt32(rawValue) }

  /// The step's name in JSON.
  public var name: String {
    switch self {
    case .excluded: "excluded"
    case .model: "model"
    case .deviceMemory: "device_memory"
    case .gpus: "gpus"
    case .cpus: "cpus"
    case .memory: "memory"
    case .disk: "disk"
    case .place: "place"
    case .verification: "verification"
    case .security: "security"
    case .tier: "tier"
    case .labels: "labels"
    case .price: "price"
    case .reliability: "reliability"
    case .busy: "busy"
    case .roundTrip: "round_trip"
    }
  }
}
