import IorunCore
import IorunWire

/// Resources that are given out and come back: a node's, or those of one bundle of a placement group.
///
/// GPUs and other accelerators (`ResourceAmounts.devices`) are things, not amounts: whole ones go to one
/// holder each, parts of one share a device, and each holder learns which it has. Everything else is
/// counted. Amounts are in units of `ResourceAmounts`.
struct ResourcePool: Sendable {
  /// A part of one device, or all of it.
  struct Share: Hashable, Sendable {
    /// Its resource.
    var kind = ResourceAmounts.gpu
    /// The node's index of the device, among those of its kind.
    var index: Int
    /// How much of it; `ResourceAmounts.unitsPerOne` is all.
    var units: Int64
  }

  /// What one holder has of a pool.
  struct Holding: Hashable, Sendable {
    /// Everything but devices.
    var units: [String: Int64] = [:]
    /// Devices.
    var shares: [Share] = []

    /// The indexes of its devices.
    var devices: RuntimeDevices {
      var devices = RuntimeDevices()
      for share in shares { devices[share.kind].append(share.index) }
      return devices
    }
  }

  private struct Device: Sendable {
    let kind: String
    let index: Int
    let capacity: Int64
    /// Below zero while a rank of a gang and a lease share it.
    var free: Int64
  }

  private static let one = ResourceAmounts.unitsPerOne

  /// Everything that there is.
  let total: ResourceAmounts
  private var free: [String: Int64]
  private var devices: [Device]

  /// A node's resources; its devices are counted from 0 within each kind. What is left of a device
  /// that is no whole one is nobody's.
  init(total: ResourceAmounts, gpuCount: Int) {
    var units = total.units
    var shares = (0..<max(0, gpuCount)).map { Share(index: $0, units: Self.one) }
    units[ResourceAmounts.gpu] = nil
    for kind in ResourceAmounts.devices where kind != ResourceAmounts.gpu {
      let count = Int(clamping: units.removeValue(forKey: kind) ?? 0) / Int(Self.one)
      shares += (0..<min(count, Self.deviceLimit)).map {
        Share(kind: kind, index: $0, units: Self.one)
      }
    }
    self.init(Holding(units: units, shares: shares))
  }

  /// The most devices of a kind, beside GPUs.
  private static let deviceLimit = 4096

  /// What somebody holds of another pool, to be given out in parts.
  init(_ holding: Holding) {
    free = holding.units
    devices = holding.shares.map {
      Device(kind: $0.kind, index: $0.index, capacity: $0.units, free: $0.units)
    }
    var units = holding.units
    for share in holding.shares { units[share.kind, default: 0] += share.units }
    total = ResourceAmounts(units: units)
  }

  /// What is free, nothing below zero.
  var available: ResourceAmounts {
    var units = free.filter { $0.value > 0 }
    for device in devices where device.free > 0 { units[device.kind, default: 0] += device.free }
    return ResourceAmounts(units: units)
  }

  /// How much is in use of what is used most of, from 0 to 1 and beyond.
  func load(of names: some Sequence<String>) -> Double {
    names.reduce(0) { most, name in
      let whole = total.units[name, default: 0]
      guard whole > 0 else { return most }
      let left =
        ResourceAmounts.devices.contains(name)
        ? devices.reduce(0) { $0 + ($1.kind == name ? $1.free : 0) } : free[name, default: 0]
      return max(most, 1 - Double(left) / Double(whole))
    }
  }

  /// True where all of it could be taken now.
  func fits(_ request: ResourceAmounts) -> Bool {
    for (name, amount) in request.units {
      if ResourceAmounts.devices.contains(name) {
        guard fitsDevices(name, amount) else { return false }
      } else {
        guard free[name, default: 0] >= amount else { return false }
      }
    }
    return true
  }

  /// True where all of it could be taken, were everything free.
  func couldFit(_ request: ResourceAmounts) -> Bool {
    total.covers(request)
      && request.units.allSatisfy { name, amount in
        !ResourceAmounts.devices.contains(name) || fitsDevices(name, amount, ofEmpty: true)
      }
  }

  /// What keeps a request from ever being met, for a person; `nil` where nothing does.
  func shortfall(_ request: ResourceAmounts) -> String? {
    for (name, amount) in request.units.sorted(by: { $0.key < $1.key }) {
      let isDevice = ResourceAmounts.devices.contains(name)
      if isDevice, amount > Self.one, amount % Self.one != 0 {
        return "\(request[name]) \(name): more than one must be a whole number"
      }
      if amount > total.units[name, default: 0] {
        let wanted = ResourceAmounts(units: [name: amount])
        return "\(wanted) of \(total[name])"
      }
      if isDevice, !fitsDevices(name, amount, ofEmpty: true) {
        return "\(request[name]) \(name) on one device"
      }
    }
    return nil
  }

  /// Takes a request, whole or not at all.
  mutating func take(_ request: ResourceAmounts) -> Holding? {
    guard fits(request) else { return nil }
    var holding = Holding(units: request.units)
    for name in request.units.keys.sorted() where ResourceAmounts.devices.contains(name) {
      guard let units = holding.units.removeValue(forKey: name) else { continue }
      holding.shares += takeDevices(name, units)
    }
    for (name, amount) in holding.units { free[name, default: 0] -= amount }
    return holding
  }

  /// Takes a request with exactly these GPUs, whole or not at all.
  mutating func take(_ request: ResourceAmounts, gpus: [Int]) -> Holding? {
    var units = request.units
    units[ResourceAmounts.gpu] = nil
    guard fits(ResourceAmounts(units: units)),
      gpus.allSatisfy({ index in
        devices.contains {
          $0.kind == ResourceAmounts.gpu && $0.index == index && $0.free >= Self.one
        }
      })
    else { return nil }
    let holding = Holding(
      units: units, shares: gpus.map { Share(index: $0, units: Self.one) })
    take(holding)
    return holding
  }

  /// Counts as taken what is taken already, whether there is room or not.
  mutating func take(_ holding: Holding) { add(holding, sign: -1) }

  /// Gives back.
  mutating func give(_ holding: Holding) { add(holding, sign: 1) }

  /// Lends (or, below zero, takes back) an amount of one counted resource.
  mutating func lend(_ name: String, _ units: Int64) { free[name, default: 0] += units }

  private mutating func add(_ holding: Holding, sign: Int64) {
    for (name, amount) in holding.units { free[name, default: 0] += sign * amount }
    for share in holding.shares {
      guard
        let place = devices.firstIndex(where: {
          $0.index == share.index && $0.kind == share.kind
        })
      else { continue }
      devices[place].free += sign * share.units
    }
  }

  // MARK: Devices

  private func fitsDevices(_ kind: String, _ amount: Int64, ofEmpty: Bool = false) -> Bool {
    func room(_ device: Device) -> Int64 {
      guard device.kind == kind else { return -1 }
      return ofEmpty ? device.capacity : device.free
    }
    guard amount > 0 else { return true }
    guard amount >= Self.one else { return devices.contains { room($0) >= amount } }
    guard amount % Self.one == 0 else { return false }
    return devices.count { room($0) >= Self.one } >= amount / Self.one
  }

  /// Whole devices, or the part of the one that is left with the least.
  private mutating func takeDevices(_ kind: String, _ amount: Int64) -> [Share] {
    guard amount >= Self.one else {
      let best = devices.indices.filter { devices[$0].kind == kind && devices[$0].free >= amount }
        .min { devices[$0].free < devices[$1].free }
      guard amount > 0, let best else { return [] }
      devices[best].free -= amount
      return [Share(kind: kind, index: devices[best].index, units: amount)]
    }
    let chosen = devices.indices.filter { devices[$0].kind == kind && devices[$0].free >= Self.one }
      .prefix(Int(amount / Self.one))
    return chosen.map {
      devices[$0].free -= Self.one
      return Share(kind: kind, index: devices[$0].index, units: Self.one)
    }
  }
}
