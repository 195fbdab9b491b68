public import IorunCore

/// Which devices a bundle may use. What is not named is not asked.
public struct DeviceFilter: Sendable, Hashable {
  /// Kinds of hardware; empty for any.
  public var hardware: Set<HardwareClass> = []
  /// A part of the model's name, compared without case; empty for any.
  public var model = ""
  /// The least memory of each accelerator.
  public var deviceMemory = Bytes.zero
  /// Countries; empty for any.
  public var countries: Set<String> = []
  /// Cities; empty for any.
  public var cities: Set<String> = []
  /// Cloud regions; empty for any.
  public var cloudRegions: Set<String> = []
  /// How far it must have been checked.
  public var verification = VerificationState.failed
  /// What must be certified.
  public var security: SecurityLabels = []
  /// How fast its way to the internet must be.
  public var tier = ConnectivityTier.unrated
  /// What its labels must say.
  public var labels: LabelSelector?
  /// The most that an hour may cost, in millionths of a dollar; `nil` for any price.
  public var mostMicrodollarsPerHour: Int?
  /// The least part of promised hours that it has served.
  public var reliability = 0.0
  /// Suppliers whose devices are not wanted.
  public var excludedSuppliers: Set<String> = []
  /// Devices that are not wanted.
  public var excluded: Set<PeerID> = []

  /// Asks nothing.
  public init() {}

  /// True where it asks for a place.
  var asksForPlace: Bool { !(countries.isEmpty && cities.isEmpty && cloudRegions.isEmpty) }

  /// Without one requirement.
  func dropping(_ requirement: Requirement) -> DeviceFilter {
    var filter = self
    switch requirement {
    case .excluded: (filter.excludedSuppliers, filter.excluded) = ([], [])
    case .model: (filter.hardware, filter.model) = ([], "")
    case .deviceMemory: filter.deviceMemory = .zero
    case .place: (filter.countries, filter.cities, filter.cloudRegions) = ([], [], [])
    case .verification: filter.verification = .failed
    case .security: filter.security = []
    case .tier: filter.tier = .unrated
    case .labels: filter.labels = nil
    case .price: filter.mostMicrodollarsPerHour = nil
    case .reliability: filter.reliability = 0
    case .gpus, .cpus, .memory, .disk, .busy, .roundTrip: break
    }
    return filter
  }
}
