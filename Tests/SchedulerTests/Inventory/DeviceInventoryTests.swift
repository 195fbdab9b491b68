import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

struct DeviceInventoryTests {
  private static func offer(
    _ number: UInt64,
    capacity: ResourceSet = ResourceSet(milliCPUs: 8000, gpus: 2, memory: .gibi(16))
  ) -> DeviceOffer {
    DeviceOffer(
      id: PeerID(high: 0, low: number), supplier: "s", hardware: .consumer, model: "RTX 4090",
      deviceMemory: .gibi(24), capacity: capacity,
      place: DevicePlace(
        country: "DE", city: "Bonn", cloudRegion: "",
        point: GeoPoint(latitude: 50.7, longitude: 7.1)),
      tier: .medium, verification: .verified, security: [.soc2], microdollarsPerHour: 400_000,
      reliability: 0.75, labels: ["a": "b"])
  }

  @Test("What was told comes back as it was told")
  func roundTrip() throws {
    var inventory = DeviceInventory()
    let row = try inventory.add(Self.offer(1))
    #expect(inventory.offer(at: row) == Self.offer(1))
    #expect(inventory.row(of: Self.offer(1).id) == row)
    #expect(inventory.free(row) == Self.offer(1).capacity)
  }

  @Test("What no machine has is refused with its code", arguments: 0..<9)
  func hostile(number: Int) {
    var offer = Self.offer(1)
    switch number {
    case 0: offer.capacity.gpus = -1
    case 1: offer.capacity.gpus = 1_000_000
    case 2: offer.capacity.milliCPUs = -5
    case 3: offer.capacity = ResourceSet()
    case 4: offer.capacity.memory = Bytes(.max)
    case 5: offer.microdollarsPerHour = -1
    case 6: offer.reliability = .nan
    case 7: offer.reliability = 1.5
    default: offer.supplier = String(repeating: "x", count: 1000)
    }
    var inventory = DeviceInventory()
    let error = #expect(throws: IorunError.self) { try inventory.add(offer) }
    #expect(error?.code == .deviceInvalid)
    #expect(inventory.count == 0)
    #expect(GeoPoint(latitude: .nan, longitude: 0) == nil)
    #expect(GeoPoint(latitude: 91, longitude: 0) == nil)
  }

  @Test("A device that is there already is refused, and one that was removed may come back")
  func twice() throws {
    var inventory = DeviceInventory()
    let row = try inventory.add(Self.offer(1))
    let error = #expect(throws: IorunError.self) { try inventory.add(Self.offer(1)) }
    #expect(error?.code == .deviceInvalid)
    try inventory.take(ResourceSet(gpus: 2), at: row)
    inventory.remove(Self.offer(1).id)
    inventory.remove(Self.offer(1).id)
    #expect(inventory.count == 0)
    let again = try inventory.add(Self.offer(1))
    #expect(again == row)
    #expect(inventory.free(again).gpus == 2)
  }

  @Test("Nothing is given twice, and nothing comes back that was not taken")
  func books() throws {
    var inventory = DeviceInventory()
    let row = try inventory.add(Self.offer(1))
    let part = ResourceSet(milliCPUs: 3000, gpus: 1, memory: .gibi(7))
    try inventory.take(part, at: row)
    try inventory.take(part, at: row)
    #expect(throws: IorunError.self) { try inventory.take(part, at: row) }
    #expect(throws: IorunError.self) { try inventory.take(ResourceSet(gpus: -1), at: row) }
    #expect(inventory.free(row).gpus == 0)
    try inventory.release(part, at: row)
    try inventory.release(part, at: row)
    #expect(throws: IorunError.self) { try inventory.release(part, at: row) }
    #expect(inventory.held(row) == ResourceSet())
  }

  @Test("A change keeps what is held, and is refused where that does not fit")
  func change() throws {
    var inventory = DeviceInventory()
    let row = try inventory.add(Self.offer(1))
    try inventory.take(ResourceSet(milliCPUs: 1000, gpus: 1), at: row)
    try inventory.change(Self.offer(1, capacity: ResourceSet(milliCPUs: 1000, gpus: 4)))
    #expect(inventory.free(row) == ResourceSet(gpus: 3))
    #expect(throws: IorunError.self) {
      try inventory.change(Self.offer(1, capacity: ResourceSet(milliCPUs: 500, gpus: 4)))
    }
    #expect(throws: IorunError.self) { try inventory.change(Self.offer(2)) }
  }

  @Test("The classes of connectivity are those of the table")
  func tiers() {
    #expect(ConnectivityTier(downMegabits: 1600, upMegabits: 1200) == .ultra)
    #expect(ConnectivityTier(downMegabits: 1600, upMegabits: 1199) == .high)
    #expect(ConnectivityTier(downMegabits: 799, upMegabits: 900) == .medium)
    #expect(ConnectivityTier(downMegabits: 100, upMegabits: 10) == .low)
    #expect(ConnectivityTier(downMegabits: .nan, upMegabits: 1e9) == .unrated)
  }
}
