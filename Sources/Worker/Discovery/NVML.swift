import Glibc
public import IorunCore

/// Finds NVIDIA GPUs through the driver's management library, loaded at run time so that iorun
/// runs on machines without one. A missing library, symbol or driver means no GPUs, never an error.
public struct NVML: GPUProvider {
  private let library: String

  /// Uses the driver's library, or another file with the same functions.
  public init(library: String = "libnvidia-ml.so.1") { self.library = library }

  /// All GPUs in NVML's order, which is PCI bus order.
  public func gpus() -> [NodeFacts.GPU] { look { $0.gpu($1) } }

  /// What `nvmlDeviceGetMinorNumber` says: the order of the device files is that in which the driver met
  /// the devices, and not NVML's.
  public func minorNumbers() -> [String: Int] {
    Dictionary(look { $0.minorNumber($1) }.map { ($0.uuid, $0.minor) }) { first, _ in first }
  }

  /// Asks about each device.
  private func look<Found>(_ ask: (Functions, UInt32) -> Found?) -> [Found] {
    guard let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL) else { return [] }
    defer { dlclose(handle) }
    guard let functions = Functions(handle), functions.initialize() == Self.success else {
      return []
    }
    defer { _ = functions.shutdown() }
    var count: UInt32 = 0
    guard functions.count(&count) == Self.success else { return [] }
    // A bound: no machine has more, and a broken driver must not keep the node from starting.
    return (0..<min(count, 1024)).compactMap { ask(functions, $0) }
  }

  /// What goes on at each.
  public func states() -> [GPUState] { look { $0.state($1) } }

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
    typealias Number = @convention(c) (OpaquePointer, UnsafeMutablePointer<UInt32>) -> Int32
    typealias MemoryInfo = @convention(c) (OpaquePointer, UnsafeMutableRawPointer) -> Int32
    typealias Sensor = @convention(c) (OpaquePointer, Int32, UnsafeMutablePointer<UInt32>) -> Int32
    typealias Processes =
      @convention(c) (
        OpaquePointer, UnsafeMutablePointer<UInt32>, UnsafeMutableRawPointer
      ) -> Int32

    // Drivers may lack these.
    let minor: Number?
    let temperature: Sensor?
    let processes: Processes?
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
      minor = dlsym(handle, "nvmlDeviceGetMinorNumber").map {
        unsafeBitCast($0, to: Number.self)
      }
      temperature = dlsym(handle, "nvmlDeviceGetTemperature").map {
        unsafeBitCast($0, to: Sensor.self)
      }
      // Both have `nvmlProcessInfo_v2_t`; the first version's is shorter.
      processes = ["_v3", "_v2"].lazy.compactMap {
        dlsym(handle, "nvmlDeviceGetComputeRunningProcesses" + $0)
      }.first.map { unsafeBitCast($0, to: Processes.self) }
      self.initialize = unsafeBitCast(initialize, to: Plain.self)
      self.shutdown = unsafeBitCast(shutdown, to: Plain.self)
      self.count = unsafeBitCast(count, to: Count.self)
      self.device = unsafeBitCast(device, to: Device.self)
      self.name = unsafeBitCast(name, to: Text.self)
      self.uuid = unsafeBitCast(uuid, to: Text.self)
      self.memory = unsafeBitCast(memory, to: MemoryInfo.self)
    }

    func minorNumber(_ index: UInt32) -> (uuid: String, minor: Int)? {
      var handle: OpaquePointer?
      guard device(index, &handle) == NVML.success, let handle,
        let uuid = text(uuid, of: handle), let number = minorNumber(of: handle)
      else { return nil }
      return (uuid, number)
    }

    private func minorNumber(of device: OpaquePointer) -> Int? {
      var number: UInt32 = 0
      // 255 is /dev/nvidiactl.
      guard let minor, minor(device, &number) == NVML.success, number < 255 else { return nil }
      return Int(number)
    }

    /// Its place in NVML's order says nothing of its file: a guess would blame, or spare, another's.
    private func deviceFile(_ device: OpaquePointer) -> String? {
      minorNumber(of: device).map { "/dev/nvidia\($0)" }
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

    func state(_ index: UInt32) -> GPUState? {
      var handle: OpaquePointer?
      guard device(index, &handle) == NVML.success, let handle else { return nil }
      var degrees: UInt32 = 0
      // 0 is NVML_TEMPERATURE_GPU.
      let isTold = temperature.map { $0(handle, 0, &degrees) == NVML.success } ?? false
      return GPUState(
        index: Int(index), temperatureCelsius: isTold ? Int(clamping: degrees) : nil,
        processes: uses(handle), path: deviceFile(handle))
    }

    /// `nvmlProcessInfo_v2_t`: a process id, its memory, and two numbers of a partition: 24 bytes.
    private func uses(_ device: OpaquePointer) -> [GPUState.Use] {
      guard let processes else { return [] }
      var count: UInt32 = 256
      var buffer = [UInt8](repeating: 0, count: Int(count) * 24)
      let result = buffer.withUnsafeMutableBytes { bytes in
        bytes.baseAddress.map { processes(device, &count, $0) } ?? -1
      }
      guard result == NVML.success, count <= 256 else { return [] }
      return buffer.withUnsafeBytes { bytes in
        (0..<Int(count)).map { place in
          let memory = bytes.loadUnaligned(fromByteOffset: place * 24 + 8, as: UInt64.self)
          return GPUState.Use(
            pid: Int32(
              bitPattern: bytes.loadUnaligned(fromByteOffset: place * 24, as: UInt32.self)),
            // All ones: not available.
            memory: memory == .max ? .zero : Bytes(memory))
        }
      }
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
