import IorunCore
import IorunWire
import Testing

@testable import IorunWorker

/// Accelerators other than GPUs: each holder learns which it has.
struct DevicePoolTests {
  private func amounts(_ amounts: [String: Double]) throws -> ResourceAmounts {
    try ResourceAmounts(amounts: amounts)
  }

  @Test func `devices of each kind are counted from 0 and go to one holder each`() throws {
    var pool = ResourcePool(
      total: try amounts(["CPU": 4, "GPU": 1, "NPU": 2, "TPU": 4, "tpu": 3]), gpuCount: 1)
    let first = try #require(pool.take(try amounts(["NPU": 1, "TPU": 2, "GPU": 1])))
    #expect(first.devices == RuntimeDevices(["NPU": [0], "TPU": [0, 1], "GPU": [0]]))
    #expect(first.devices.others == ["NPU": [0], "TPU": [0, 1]])
    let second = try #require(pool.take(try amounts(["NPU": 1, "tpu": 1])))
    #expect(second.devices == RuntimeDevices(["NPU": [1]]))
    #expect(pool.take(try amounts(["NPU": 1])) == nil)
    #expect(pool.available == (try amounts(["CPU": 4, "TPU": 2, "tpu": 2])))
    pool.give(first)
    #expect(try #require(pool.take(try amounts(["NPU": 1]))).devices["NPU"] == [0])
  }

  @Test func `parts of a device share it`() throws {
    var pool = ResourcePool(total: try amounts(["NPU": 2]), gpuCount: 0)
    let half = try amounts(["NPU": 0.5])
    let indexes = (0..<4).compactMap { _ in pool.take(half)?.devices["NPU"] }
    #expect(indexes.flatMap { $0 }.sorted() == [0, 0, 1, 1])
    #expect(pool.take(half) == nil)
    #expect(pool.shortfall(try amounts(["NPU": 1.5])) != nil)
    #expect(!pool.couldFit(try amounts(["NPU": 3])))
  }

  @Test func `a bundle gives out the devices that it took`() throws {
    var node = ResourcePool(total: try amounts(["neuron_cores": 4]), gpuCount: 0)
    _ = node.take(try amounts(["neuron_cores": 1]))
    var bundle = ResourcePool(try #require(node.take(try amounts(["neuron_cores": 2]))))
    #expect(bundle.total == (try amounts(["neuron_cores": 2])))
    #expect(
      try #require(bundle.take(try amounts(["neuron_cores": 2]))).devices["neuron_cores"] == [1, 2])
    #expect(bundle.available.isEmpty)
  }
}
