import Glibc
public import IorunCore

/// Finds NVIDIA GPUs through the driver's management library, loaded at run time so that iorun
/// runs on machines without one. A missing library, symbol or driver means no GPUs, never an error.
public struct NVML: GPUProvider {
  private let library: String

  /// Uses the driver's library, or another file with the same functions.
  public init(library: String = "libnvidia-ml.so.1") { self.library = library }

  /// All GPUs in NVML's order, which is PCI bus order.
  public func gpus() -> [NodeFacts.GPU] {
    guard let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL) else { return [] }
    defer { dlclose(handle) }
    guard let functions = Functions(handle), functions.initialize() == Self.success else {
      return []
    }
    defer { _ = functions.shutdown() }
    var count: UInt32 = 0
    guard functions.count(&count) == Self.success else { return [] }
    // A bound: no machine has more, and a broken driver must not keep the node from starting.
    return (0..<min(count, 1024)).compactMap(functions.gpu)
  }

  private static let success: Int32 = 0

  /// `nvmlMemory_t`.
  private struct Memory {
    var total: UInt64 = 0
    var free: UInt64 = 0
    var used: UInt64 = 0
  }

  /// The entry points, by the names that the library has had since driver 331.
  private struct Functions {
    typealias Plain = @convention(c) () -> Int32
    typealias Count = @convention(c) (UnsafeMutablePointer<UInt32>) -> Int32
    typealias Device = @convention(c) (UInt32, UnsafeMutablePointer<OpaquePointer?>) -> Int32
    typealias Text = @convention(c) (OpaquePointer, UnsafeMutablePointer<CChar>, UInt32) -> Int32
    typealias MemoryInfo = @convention(c) (OpaquePointer, UnsafeMutableRawPointer) -> Int32

    let initialize: Plain
    let shutdown: Plain
    let count: Count
    let device: Device
    let name: Text
    let uuid: Text
    let memory: MemoryInfo

    init?(_ handle: UnsafeMutableRawPointer) {
      guard let initialize = dlsym(handle, "nvmlInit_v2"),
        let shutdown = dlsym(handle, "nvmlShutdown"),
        let count = dlsym(handle, "nvmlDeviceGetCount_v2"),
        let device = dlsym(handle, "nvmlDeviceGetHandleByIndex_v2"),
        let name = dlsym(handle, "nvmlDeviceGetName"),
        let uuid = dlsym(handle, "nvmlDeviceGetUUID"),
        let memory = dlsym(handle, "nvmlDeviceGetMemoryInfo")
      else { return nil }
      self.initialize = unsafeBitCast(initialize, to: Plain.self)
      self.shutdown = unsafeBitCast(shutdown, to: Plain.self)
      self.count = unsafeBitCast(count, to: Count.self)
      self.device = unsafeBitCast(device, to: Device.self)
      self.name = unsafeBitCast(name, to: Text.self)
      self.uuid = unsafeBitCast(uuid, to: Text.self)
      self.memory = unsafeBitCast(memory, to: MemoryInfo.self)
    }

    func gpu(_ index: UInt32) -> NodeFacts.GPU? {
      var handle: OpaquePointer?
      guard device(index, &handle) == NVML.success, let handle,
        let model = text(name, of: handle), let uuid = text(uuid, of: handle)
      else { return nil }
      var bytes = Memory()
      guard memory(handle, &bytes) == NVML.success else { return nil }
      return NodeFacts.GPU(model: model, uuid: uuid, memory: Bytes(bytes.total))
    }

    private func text(_ function: Text, of device: OpaquePointer) -> String? {
      // 96 is NVML_DEVICE_NAME_V2_BUFFER_SIZE; a UUID needs at most as much.
      var buffer = [CChar](repeating: 0, count: 96)
      guard function(device, &buffer, UInt32(buffer.count)) == NVML.success else { return nil }
      let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}
