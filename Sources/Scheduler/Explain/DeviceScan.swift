internal import IorunCore

/// One look at all devices for one kind of bundle: what each of them fails, and how many bundles it
/// has room for.
struct DeviceScan: Sendable {
  /// By row, a bit for each requirement that is not met; all bits for a row without a device.
  let misses: [UInt32]
  /// By row, how many bundles have room now, whatever else is missed.
  let slots: [Int32]

  static let hole = UInt32.max

  init(_ inventory: DeviceInventory, _ bundle: GangDemand.Bundle) {
    let (filter, need) = (bundle.filter, bundle.need)
    let model = filter.model.lowercased()
    let models = inventory.texts.verdicts { text in
      model.isEmpty || text.lowercased().contains(model)
    }
    let countries = inventory.texts.verdicts { filter.countries.contains($0) }
    let cities = inventory.texts.verdicts { filter.cities.contains($0) }
    let regions = inventory.texts.verdicts { filter.cloudRegions.contains($0) }
    let unwanted = inventory.texts.verdicts { filter.excludedSuppliers.contains($0) }
    let labels = inventory.labels.verdicts { filter.labels?.matches($0) ?? true }
    let excluded = Set(filter.excluded.compactMap { inventory.row(of: $0) })
    let deviceMemory = filter.deviceMemory.wholeMiB
    let (memory, disk) = (need.memory.wholeMiB, need.disk.wholeMiB)
    let price = UInt32(clamping: filter.mostMicrodollarsPerHour ?? .max)
    let reliability = Float(filter.reliability)
    let asksForPlace = filter.asksForPlace
    var misses = [UInt32](repeating: Self.hole, count: inventory.rowRange.count)
    var slots = [Int32](repeating: 0, count: inventory.rowRange.count)
    for row in inventory.rowRange where inventory.isPresent[row] {
      var bits: UInt32 = 0
      func miss(_ requirement: Requirement, _ isMissed: Bool) {
        if isMissed { bits |= requirement.bit }
      }
      miss(.excluded, unwanted[Int(inventory.suppliers[row])] || excluded.contains(row))
      miss(
        .model,
        !models[Int(inventory.models[row])]
          || !filter.hardware.isEmpty && !filter.hardware.contains(inventory.hardware[row]))
      miss(.deviceMemory, inventory.deviceMemoryMiB[row] < deviceMemory)
      miss(.gpus, Int(inventory.gpuCounts[row]) < need.gpus)
      miss(.cpus, Int(inventory.milliCPUs[row]) < need.milliCPUs)
      miss(.memory, inventory.memoryMiB[row] < memory)
      miss(.disk, inventory.diskMiB[row] < disk)
      if asksForPlace {
        let isThere =
          (filter.countries.isEmpty || countries[Int(inventory.countries[row])])
          && (filter.cities.isEmpty || cities[Int(inventory.cities[row])])
          && (filter.cloudRegions.isEmpty || regions[Int(inventory.cloudRegions[row])])
        miss(.place, !isThere || inventory.hasDoubtfulPlace[row])
      }
      miss(.verification, inventory.verifications[row] < filter.verification)
      miss(.security, !inventory.securities[row].isSuperset(of: filter.security))
      miss(.tier, inventory.tiers[row] < filter.tier)
      miss(.labels, !labels[Int(inventory.labelSets[row])])
      miss(.price, inventory.prices[row] > price)
      miss(.reliability, inventory.reliabilities[row] < reliability)
      let room = Self.slots(
        gpus: (Int(inventory.freeGPUs[row]), need.gpus),
        cpus: (Int(inventory.freeMilliCPUs[row]), need.milliCPUs),
        memory: (Int(inventory.freeMemoryMiB[row]), Int(memory)),
        disk: (Int(inventory.freeDiskMiB[row]), Int(disk)))
      slots[row] = Int32(clamping: room)
      // One that is too small even when idle is not busy.
      let isTooSmall =
        Requirement.gpus.bit | Requirement.cpus.bit | Requirement.memory.bit
        | Requirement.disk.bit
      miss(.busy, room == 0 && bits & isTooSmall == 0)
      misses[row] = bits
    }
    self.misses = misses
    self.slots = slots
  }

  private static func slots(
    gpus: (Int, Int), cpus: (Int, Int), memory: (Int, Int), disk: (Int, Int)
  ) -> Int {
    var slots = GangDemand.mostBundles
    if gpus.1 > 0 { slots = min(slots, gpus.0 / gpus.1) }
    if cpus.1 > 0 { slots = min(slots, cpus.0 / cpus.1) }
    if memory.1 > 0 { slots = min(slots, memory.0 / memory.1) }
    if disk.1 > 0 { slots = min(slots, disk.0 / disk.1) }
    return slots
  }

  /// The rows that meet everything, ascending.
  var eligible: [Int] { misses.indices.filter { misses[$0] == 0 } }
}
