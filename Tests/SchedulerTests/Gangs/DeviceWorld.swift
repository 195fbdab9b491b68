import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

/// Devices in cities on a plane, for tests of placement: 100 km are 1 ms.
struct DeviceWorld {
  var inventory = DeviceInventory()
  var matrix: LatencyMatrix

  /// Devices of four GPUs, in sites whose places are given in milliseconds.
  ///
  /// - Parameter sites: where each site is, and how many machines it has.
  init(
    _ sites: [(x: Float, y: Float, machines: Int)],
    change: (inout DeviceOffer, Int) -> Void = { _, _ in }
  )
    throws
  {
    var values: [Float] = []
    for left in sites {
      for right in sites {
        let (x, y) = (left.x - right.x, left.y - right.y)
        values.append((x * x + y * y).squareRoot())
      }
    }
    matrix = try #require(LatencyMatrix(count: sites.count, milliseconds: values))
    var number = 0
    for (index, site) in sites.enumerated() {
      for _ in 0..<site.machines {
        var offer = DeviceOffer(
          id: PeerID(high: 1, low: UInt64(number)), supplier: "supplier-\(index)",
          hardware: .dataCentre, model: "NVIDIA H100", deviceMemory: .gibi(80),
          capacity: ResourceSet(milliCPUs: 64_000, gpus: 4, memory: .gibi(512), disk: .gibi(1000)),
          place: DevicePlace(country: "C\(index)", city: "city-\(index)"), tier: .high,
          verification: .verified, microdollarsPerHour: 2_000_000, reliability: 0.99)
        change(&offer, number)
        let row = try inventory.add(offer)
        inventory.locate(row, site: index, hasDoubtfulPlace: false)
        number += 1
      }
    }
  }

  var planner: GangPlanner { GangPlanner(inventory, matrix: matrix) }

  /// Bundles of GPUs and two cores a GPU.
  static func bundle(
    _ count: Int, gpus: Int = 1, _ filter: (inout DeviceFilter) -> Void = { _ in }
  ) -> GangDemand.Bundle {
    var wanted = DeviceFilter()
    filter(&wanted)
    return GangDemand.Bundle(
      count: count, need: ResourceSet(milliCPUs: 2000 * gpus, gpus: gpus), filter: wanted)
  }
}

extension GangOutcome {
  var choice: GangChoice? { if case .placed(let choice) = self { choice } else { nil } }
  var refusal: GangRefusal? { if case .refused(let refusal) = self { refusal } else { nil } }
}
