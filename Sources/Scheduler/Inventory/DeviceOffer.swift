public import IorunCore

/// The devices of one kind that one machine offers, and what stands beside them.
public struct DeviceOffer: Sendable, Hashable {
  /// The machine.
  public var id: PeerID
  /// Who offers it.
  public var supplier: String
  /// What kind of hardware.
  public var hardware: HardwareClass
  /// The maker's name of the accelerator; empty for none.
  public var model: String
  /// The memory of one accelerator.
  public var deviceMemory: Bytes
  /// Accelerators, cores, main memory and disk.
  public var capacity: ResourceSet
  /// Where the supplier says that it is.
  public var place: DevicePlace
  /// How fast its way to the internet is.
  public var tier: ConnectivityTier
  /// How far its claims were checked.
  public var verification: VerificationState
  /// What is certified of its security.
  public var security: SecurityLabels
  /// Millionths of a dollar for an hour of one accelerator, or of one core where there is none.
  public var microdollarsPerHour: Int
  /// The part of its promised hours that it has served, from 0 to 1.
  public var reliability: Double
  /// What selectors of labels look at.
  public var labels: [String: String]

  /// Describes what a machine offers.
  public init(
    id: PeerID, supplier: String, hardware: HardwareClass, model: String = "",
    deviceMemory: Bytes = .zero, capacity: ResourceSet, place: DevicePlace = DevicePlace(),
    tier: ConnectivityTier = .unrated, verification: VerificationState = .unverified,
    security: SecurityLabels = [], microdollarsPerHour: Int = 0, reliability: Double = 1,
    labels: [String: String] = [:]
  ) {
    self.id = id
    self.supplier = supplier
    self.hardware = hardware
    self.model = model
    self.deviceMemory = deviceMemory
    self.capacity = capacity
    self.place = place
    self.tier = tier
    self.verification = verification
    self.security = security
    self.microdollarsPerHour = microdollarsPerHour
    self.reliability = reliability
    self.labels = labels
  }

  /// The most accelerators of a machine.
  static let mostDevices = 1024
  /// The most thousandths of cores of a machine.
  static let mostMilliCPUs = 4_096_000
  private static let mostBytes = Bytes.gibi(1 << 20)
  /// The highest price of an hour, in millionths of a dollar.
  static let mostMicrodollars = 1_000_000_000
  private static let longestText = 256
  private static let mostLabels = 64

  /// Refuses what no machine has.
  ///
  /// - Throws: `deviceInvalid`, naming the number.
  func check() throws {
    func refuse(_ what: String) -> IorunError {
      IorunError(
        .deviceInvalid, "device \(id.short): \(what)",
        remedy: "Offer what the machine has, as `iorun nodes` shows it")
    }
    guard (0...Self.mostDevices).contains(capacity.gpus) else {
      throw refuse("it cannot have \(capacity.gpus) accelerators")
    }
    guard (0...Self.mostMilliCPUs).contains(capacity.milliCPUs) else {
      throw refuse("it cannot have \(capacity.milliCPUs) thousandths of a core")
    }
    guard capacity.gpus > 0 || capacity.milliCPUs > 0 else {
      throw refuse("it has neither accelerators nor cores")
    }
    guard max(capacity.memory, capacity.disk, deviceMemory) <= Self.mostBytes else {
      throw refuse("it cannot have more than \(Self.mostBytes) memory or disk")
    }
    guard (0...Self.mostMicrodollars).contains(microdollarsPerHour) else {
      throw refuse("it cannot cost \(microdollarsPerHour) millionths of a dollar an hour")
    }
    guard (0...1).contains(reliability) else {
      throw refuse("its reliability cannot be \(reliability)")
    }
    let texts = [supplier, model, place.country, place.city, place.cloudRegion]
    guard texts.allSatisfy({ $0.utf8.count <= Self.longestText }),
      labels.count <= Self.mostLabels,
      labels.allSatisfy({ max($0.key.utf8.count, $0.value.utf8.count) <= Self.longestText })
    else { throw refuse("its texts or labels are too long or too many") }
  }
}
