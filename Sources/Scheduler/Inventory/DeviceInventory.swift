public import IorunCore

/// All devices that are offered, column by column, and what of them is free. Rows stay where they are
/// until they are removed; adding, changing and removing one costs the same however many there are.
///
/// About 150 bytes a device. Texts are kept once.
public struct DeviceInventory: Sendable {
  /// The most devices of an inventory.
  public static let limit = 100_000

  // Some 110 bytes a row; the rest is the index by id.
  private(set) var ids: [PeerID] = []
  private(set) var isPresent: [Bool] = []
  private(set) var hardware: [HardwareClass] = []
  private(set) var models: [UInt32] = []
  private(set) var deviceMemoryMiB: [UInt32] = []
  private(set) var gpuCounts: [UInt16] = []
  private(set) var milliCPUs: [Int32] = []
  private(set) var memoryMiB: [UInt32] = []
  private(set) var diskMiB: [UInt32] = []
  private(set) var freeGPUs: [UInt16] = []
  private(set) var freeMilliCPUs: [Int32] = []
  private(set) var freeMemoryMiB: [UInt32] = []
  private(set) var freeDiskMiB: [UInt32] = []
  private(set) var countries: [UInt32] = []
  private(set) var cities: [UInt32] = []
  private(set) var cloudRegions: [UInt32] = []
  /// Latitude and longitude; not numbers where they were not told.
  private(set) var points: [SIMD2<Float>] = []
  private(set) var tiers: [ConnectivityTier] = []
  private(set) var verifications: [VerificationState] = []
  private(set) var securities: [SecurityLabels] = []
  private(set) var prices: [UInt32] = []
  private(set) var reliabilities: [Float] = []
  private(set) var suppliers: [UInt32] = []
  private(set) var labelSets: [UInt32] = []
  /// The site of each; -1 for none yet.
  private(set) var sites: [Int32] = []
  /// True where what is claimed of the place contradicts measurements.
  private(set) var hasDoubtfulPlace: [Bool] = []

  private(set) var texts = InternTable<String>()
  private(set) var labels = InternTable<[String: String]>()
  private var rows: [PeerID: UInt32] = [:]
  private var holes: [UInt32] = []

  /// An inventory without devices.
  public init() {}

  /// How many machines are in it.
  public var count: Int { rows.count }

  /// The numbers of rows, with holes where machines were removed.
  public var rowRange: Range<Int> { ids.indices }

  /// A machine's row.
  public func row(of id: PeerID) -> Int? { rows[id].map(Int.init) }

  /// Adds a machine, all of it free.
  ///
  /// - Returns: its row.
  /// - Throws: `deviceInvalid` for what no machine has and for one that is in it already,
  ///   `overloaded` where it is full.
  @discardableResult
  public mutating func add(_ offer: DeviceOffer) throws -> Int {
    try offer.check()
    guard rows[offer.id] == nil else {
      throw IorunError(
        .deviceInvalid, "device \(offer.id.short) is offered twice",
        remedy: "Offer each machine once, or change its offer")
    }
    guard count < Self.limit else {
      throw IorunError(.overloaded, "the inventory holds its most of \(Self.limit) devices")
    }
    let row: Int
    if let hole = holes.popLast() {
      row = Int(hole)
    } else {
      row = ids.count
      appendRow()
    }
    rows[offer.id] = UInt32(row)
    ids[row] = offer.id
    isPresent[row] = true
    sites[row] = -1
    hasDoubtfulPlace[row] = false
    write(offer, to: row)
    freeGPUs[row] = gpuCounts[row]
    freeMilliCPUs[row] = milliCPUs[row]
    freeMemoryMiB[row] = memoryMiB[row]
    freeDiskMiB[row] = diskMiB[row]
    return row
  }

  /// Changes what a machine offers; what is held of it stays held.
  ///
  /// - Throws: `deviceInvalid` for what no machine has, for one that is not in it, and for less than
  ///   what is held.
  public mutating func change(_ offer: DeviceOffer) throws {
    try offer.check()
    guard let row = row(of: offer.id) else {
      throw IorunError(.deviceInvalid, "device \(offer.id.short) is not offered")
    }
    let held = held(row)
    guard offer.capacity.covers(held) else {
      throw IorunError(
        .deviceInvalid, "device \(offer.id.short) offers less than the \(held) that leases hold",
        remedy: "Drain it first")
    }
    write(offer, to: row)
    freeGPUs[row] = gpuCounts[row] - UInt16(held.gpus)
    freeMilliCPUs[row] = milliCPUs[row] - Int32(held.milliCPUs)
    freeMemoryMiB[row] = memoryMiB[row] - held.memory.wholeMiB
    freeDiskMiB[row] = diskMiB[row] - held.disk.wholeMiB
  }

  /// Removes a machine; nothing happens where it is not in it.
  public mutating func remove(_ id: PeerID) {
    guard let row = rows.removeValue(forKey: id) else { return }
    isPresent[Int(row)] = false
    holes.append(row)
  }

  /// What a machine offers, as it was told.
  public func offer(at row: Int) -> DeviceOffer {
    DeviceOffer(
      id: ids[row], supplier: texts[suppliers[row]], hardware: hardware[row],
      model: texts[models[row]], deviceMemory: .mebi(UInt64(deviceMemoryMiB[row])),
      capacity: ResourceSet(
        milliCPUs: Int(milliCPUs[row]), gpus: Int(gpuCounts[row]),
        memory: .mebi(UInt64(memoryMiB[row])), disk: .mebi(UInt64(diskMiB[row]))),
      place: DevicePlace(
        country: texts[countries[row]], city: texts[cities[row]],
        cloudRegion: texts[cloudRegions[row]],
        point: GeoPoint(latitude: points[row].x, longitude: points[row].y)),
      tier: tiers[row], verification: verifications[row], security: securities[row],
      microdollarsPerHour: Int(prices[row]), reliability: Double(reliabilities[row]),
      labels: labels[labelSets[row]])
  }

  /// What leases hold of a machine.
  public func held(_ row: Int) -> ResourceSet {
    ResourceSet(
      milliCPUs: Int(milliCPUs[row] - freeMilliCPUs[row]),
      gpus: Int(gpuCounts[row] - freeGPUs[row]),
      memory: .mebi(UInt64(memoryMiB[row] - freeMemoryMiB[row])),
      disk: .mebi(UInt64(diskMiB[row] - freeDiskMiB[row])))
  }

  /// What is free of a machine.
  public func free(_ row: Int) -> ResourceSet {
    ResourceSet(
      milliCPUs: Int(freeMilliCPUs[row]), gpus: Int(freeGPUs[row]),
      memory: .mebi(UInt64(freeMemoryMiB[row])), disk: .mebi(UInt64(freeDiskMiB[row])))
  }

  /// Holds `need` of a machine. Amounts are rounded up to whole MiB.
  ///
  /// - Throws: `noPlacement` where it has not so much free; nothing is held then.
  public mutating func take(_ need: ResourceSet, at row: Int) throws {
    guard isPresent[row], need.isSensible, free(row).covers(need.roundedUp) else {
      throw IorunError(.noPlacement, "device \(ids[row].short) has no room for \(need)")
    }
    freeGPUs[row] -= UInt16(need.gpus)
    freeMilliCPUs[row] -= Int32(need.milliCPUs)
    freeMemoryMiB[row] -= need.memory.wholeMiB
    freeDiskMiB[row] -= need.disk.wholeMiB
  }

  /// Gives back what was taken. More than is held is a fault of the caller's books.
  ///
  /// - Throws: `internalFault` for more than is held; nothing is given back then.
  public mutating func release(_ need: ResourceSet, at row: Int) throws {
    guard need.isSensible, held(row).covers(need.roundedUp) else {
      throw IorunError(.internalFault, "device \(ids[row].short) does not hold \(need)")
    }
    freeGPUs[row] += UInt16(need.gpus)
    freeMilliCPUs[row] += Int32(need.milliCPUs)
    freeMemoryMiB[row] += need.memory.wholeMiB
    freeDiskMiB[row] += need.disk.wholeMiB
  }

  /// Says in which site a machine is, and whether measurements contradict the place that it claims.
  public mutating func locate(_ row: Int, site: Int?, hasDoubtfulPlace isDoubtful: Bool) {
    sites[row] = site.map { Int32(clamping: $0) } ?? -1
    hasDoubtfulPlace[row] = isDoubtful
  }

  /// The same inventory as if nothing were held.
  public var idle: DeviceInventory {
    var idle = self
    idle.freeGPUs = gpuCounts
    idle.freeMilliCPUs = milliCPUs
    idle.freeMemoryMiB = memoryMiB
    idle.freeDiskMiB = diskMiB
    return idle
  }

  private mutating func appendRow() {
    ids.append(PeerID(high: 0, low: 0))
    isPresent.append(false)
    hardware.append(.cpu)
    models.append(0)
    deviceMemoryMiB.append(0)
    memoryMiB.append(0)
    diskMiB.append(0)
    freeMemoryMiB.append(0)
    freeDiskMiB.append(0)
    countries.append(0)
    cities.append(0)
    cloudRegions.append(0)
    prices.append(0)
    suppliers.append(0)
    labelSets.append(0)
    gpuCounts.append(0)
    freeGPUs.append(0)
    milliCPUs.append(0)
    freeMilliCPUs.append(0)
    points.append(SIMD2(repeating: .nan))
    tiers.append(.unrated)
    verifications.append(.unverified)
    securities.append([])
    reliabilities.append(0)
    sites.append(-1)
    hasDoubtfulPlace.append(false)
  }

  private mutating func write(_ offer: DeviceOffer, to row: Int) {
    hardware[row] = offer.hardware
    models[row] = texts.number(of: offer.model)
    deviceMemoryMiB[row] = UInt32(clamping: offer.deviceMemory.rawValue >> 20)
    gpuCounts[row] = UInt16(offer.capacity.gpus)
    milliCPUs[row] = Int32(offer.capacity.milliCPUs)
    memoryMiB[row] = UInt32(clamping: offer.capacity.memory.rawValue >> 20)
    diskMiB[row] = UInt32(clamping: offer.capacity.disk.rawValue >> 20)
    countries[row] = texts.number(of: offer.place.country)
    cities[row] = texts.number(of: offer.place.city)
    cloudRegions[row] = texts.number(of: offer.place.cloudRegion)
    points[row] =
      offer.place.point.map { SIMD2($0.latitude, $0.longitude) } ?? SIMD2(repeating: .nan)
    tiers[row] = offer.tier
    verifications[row] = offer.verification
    securities[row] = offer.security
    prices[row] = UInt32(offer.microdollarsPerHour)
    reliabilities[row] = Float(offer.reliability)
    suppliers[row] = texts.number(of: offer.supplier)
    labelSets[row] = labels.number(of: offer.labels)
  }
}

extension Bytes {
  /// In MiB, rounded up.
  var wholeMiB: UInt32 {
    UInt32(clamping: (rawValue >> 20) + (rawValue & 0xF_FFFF == 0 ? 0 : 1))
  }
}

extension ResourceSet {
  /// The same with whole MiB.
  var roundedUp: ResourceSet {
    ResourceSet(
      milliCPUs: milliCPUs, gpus: gpus, memory: .mebi(UInt64(memory.wholeMiB)),
      disk: .mebi(UInt64(disk.wholeMiB)))
  }

  /// True for amounts of which a machine can hold some.
  var isSensible: Bool { milliCPUs >= 0 && gpus >= 0 }
}
