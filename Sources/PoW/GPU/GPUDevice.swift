internal import CPoW
internal import Foundation
internal import IorunCore

/// A GPU, opened through the CUDA driver of the machine. The driver is looked for at run time
/// (`libcuda.so.1`): nothing of CUDA is needed to build or start.
///
/// Safe to send: what it points to is written once, when it is opened, and the driver's calls may
/// come from any thread (CUDA Driver API, "Thread safety"); each makes the context current first.
public final class GPUDevice: @unchecked Sendable {
  /// What the driver says of a GPU. None of it is proof: only rates choose what a device is.
  public struct Description: Hashable, Codable, Sendable {
    /// Its number, from 0.
    public var index: Int
    /// The model's name.
    public var name: String
    /// As NVML and `nvidia-smi` write it.
    public var uuid: String
    /// Compute capability, for example 9.0.
    public var compute: String
    /// How many multiprocessors it has.
    public var multiprocessors: Int
    /// Bytes of memory.
    public var memoryBytes: UInt64

    private enum CodingKeys: String, CodingKey {
      case index, name, uuid, compute, multiprocessors
      case memoryBytes = "memory_bytes"
    }
  }

  /// What the driver says of it.
  public let description: Description
  private let handle: OpaquePointer
  private let resolver: iorun_gpu_resolver?

  /// The GPUs of this machine. Throws `gpuMissing` where there is no driver, or one that is too old.
  public static func all() throws -> [Description] { try all(resolver: nil) }

  static func all(resolver: iorun_gpu_resolver?) throws -> [Description] {
    var count: Int32 = 0
    try check(iorun_gpu_count(resolver, &count), "GPUs could not be counted")
    return try (0..<Int(count)).map { try describe($0, resolver: resolver) }
  }

  private static func describe(_ index: Int, resolver: iorun_gpu_resolver?) throws -> Description {
    var out = iorun_gpu_description()
    try check(
      iorun_gpu_describe(resolver, Int32(clamping: index), &out), "GPU \(index) could not be read")
    return Description(
      index: index, name: text(of: &out.name), uuid: text(of: &out.uuid),
      compute: "\(out.major).\(out.minor)", multiprocessors: Int(out.multiprocessors),
      memoryBytes: out.memory)
  }

  private static func text<Field>(of field: inout Field) -> String {
    withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Opens a GPU that nothing else computes on.
  ///
  /// - Throws: `gpuMissing`; `gpuBusy` where another process has it; `gpuFault`.
  public convenience init(index: Int) throws {
    try self.init(index: index, resolver: nil, nvml: nil)
  }

  /// Opens the GPU of this machine with that UUID, which nothing else computes on. Throws as `init(index:)`.
  public convenience init(uuid: String) throws {
    guard let index = try Self.all().first(where: { $0.uuid == uuid })?.index else {
      throw IorunError(
        .gpuMissing, "the CUDA driver knows no GPU \(uuid.prefix(80))",
        remedy: "See what nvidia-smi says")
    }
    try self.init(index: index)
  }

  /// Opens once more what this process has open, with a queue of its own: work of both goes on at once.
  /// Throws `gpuFault`.
  convenience init(beside other: GPUDevice) throws {
    try self.init(description: other.description, resolver: other.resolver)
  }

  convenience init(index: Int, resolver: iorun_gpu_resolver?, nvml: iorun_gpu_resolver?) throws {
    let description = try Self.describe(index, resolver: resolver)
    // Before there is a context of our own. Without NVML nobody knows, and the rates will tell.
    if let processes = try? GPUCondition(of: description.uuid, resolver: nvml).processes,
      processes > 0
    {
      throw IorunError(
        .gpuBusy,
        "\(processes == 1 ? "another process computes" : "\(processes) other processes compute") "
          + "on GPU \(index) (\(description.name))",
        remedy: "Wait for it to end, or stop it; nvidia-smi shows which it is")
    }
    try self.init(description: description, resolver: resolver)
  }

  private init(description: Description, resolver: iorun_gpu_resolver?) throws {
    (self.description, self.resolver) = (description, resolver)
    var opened: OpaquePointer?
    try Self.check(
      iorun_gpu_open(resolver, Int32(clamping: description.index), &opened),
      "GPU \(description.index) (\(description.name)) could not be opened")
    guard let opened else {
      throw IorunError(.internalFault, "a GPU was opened and is not there")
    }
    handle = opened
  }

  deinit { iorun_gpu_close(handle) }

  /// Throws what a result of the driver means.
  private static func check(_ result: Int32, _ what: String, _ handle: OpaquePointer? = nil) throws
  {
    guard result != 0 else { return }
    // CUresult: OUT_OF_MEMORY, NO_DEVICE, INVALID_DEVICE, DEVICE_UNAVAILABLE, and the driver's age.
    let (noMemory, unavailable, missing): (Int32, Int32, Set<Int32>) = (
      2, 46, [34, 36, 100, 101, 222, 803]
    )
    switch Int(result) {
    case IORUN_GPU_NO_LIBRARY:
      throw IorunError(
        .gpuMissing, "\(what): this machine has no NVIDIA driver (libcuda.so.1)",
        remedy: "Install the driver, or leave the GPU out")
    case IORUN_GPU_OLD_LIBRARY:
      throw IorunError(
        .gpuMissing, "\(what): the NVIDIA driver is older than CUDA 11",
        remedy: "Update the driver")
    case IORUN_GPU_OLD_DEVICE:
      throw IorunError(
        .gpuMissing, "\(what): its compute capability is below 6.1", remedy: "Use a newer GPU")
    case Int(noMemory), IORUN_GPU_NO_ROOM:
      throw IorunError(
        .noMemoryForProof, "\(what): there is not so much free memory",
        remedy: "Claim less, or stop what else takes the GPU's memory")
    case Int(unavailable):
      throw IorunError(
        .gpuBusy, "\(what): another process has it for itself",
        remedy: "Stop that process, or change the GPU's compute mode with nvidia-smi")
    case let code where missing.contains(Int32(code)):
      throw IorunError(
        .gpuMissing, "\(what): there is no such GPU, or the driver cannot use it (CUDA \(code))",
        remedy: "See what nvidia-smi says")
    default:
      throw IorunError(
        .gpuFault,
        "\(what): CUDA error \(result), \(String(cString: iorun_gpu_text(handle, result)))",
        remedy: "Try again; where it repeats leave the GPU out")
    }
  }

  private func check(_ result: Int32, _ what: String) throws {
    try Self.check(result, "GPU \(description.index), \(what)", handle)
  }

  /// True where the tensor cores can multiply bytes.
  var hasTensorProduct: Bool { iorun_gpu_has(handle, IORUN_GPU_PRODUCT_MMA) != 0 }

  /// Bytes of its memory that are free. Throws `gpuFault`.
  public func freeBytes() throws -> UInt64 {
    var free: UInt64 = 0
    try check(iorun_gpu_room(handle, &free), "asking for free memory")
    return free
  }

  /// Takes memory. Throws `noMemoryForProof`.
  func allocate(_ byteCount: Int) throws -> GPUMemory {
    var address: UInt64 = 0
    try check(
      iorun_gpu_allocate(handle, UInt64(byteCount), &address),
      "taking \(Bytes(UInt64(byteCount))) of memory")
    return GPUMemory(on: self, address: address, byteCount: byteCount)
  }

  fileprivate func free(_ address: UInt64) { _ = iorun_gpu_free(handle, address) }

  func upload(_ words: [UInt32], to memory: GPUMemory) throws {
    precondition(4 * words.count <= memory.byteCount, "what fits")
    try check(
      iorun_gpu_upload(handle, memory.address, words, UInt64(4 * words.count)), "writing memory")
  }

  /// Waits for all that was started, and reads.
  func download(_ memory: GPUMemory, at offset: Int = 0, byteCount: Int) throws -> [UInt8] {
    precondition(offset >= 0 && offset + byteCount <= memory.byteCount, "what is there")
    var bytes = [UInt8](repeating: 0, count: byteCount)
    try check(
      iorun_gpu_download(handle, &bytes, memory.address + UInt64(offset), UInt64(byteCount)),
      "reading memory")
    return bytes
  }

  /// Starts a kernel with a thread for each of `count` units of work.
  func start(_ kernel: iorun_gpu_kernel, count: Int, _ arguments: [UInt64]) throws {
    let threads = 256
    try start(kernel, blocks: (count + threads - 1) / threads, threads: threads, arguments)
  }

  /// Starts a kernel of `blocks` times `rows` blocks.
  func start(
    _ kernel: iorun_gpu_kernel, blocks: Int, rows: Int = 1, threads: Int, _ arguments: [UInt64]
  ) throws {
    try check(
      iorun_gpu_launch(
        handle, kernel, UInt32(blocks), UInt32(rows), UInt32(threads), arguments,
        UInt32(arguments.count)),
      "starting a kernel")
  }

  /// Blocks until all that was started is done.
  func wait() throws { try check(iorun_gpu_wait(handle), "computing") }
}

/// Memory of a GPU; given back with the last reference.
final class GPUMemory: Sendable {
  let device: GPUDevice
  let address: UInt64
  let byteCount: Int

  init(on device: GPUDevice, address: UInt64, byteCount: Int) {
    (self.device, self.address, self.byteCount) = (device, address, byteCount)
  }

  deinit { device.free(address) }
}

/// What NVML says of a GPU (`libnvidia-ml.so.1`, looked for at run time): why a proof was slow.
public struct GPUCondition: Hashable, Codable, Sendable {
  /// How many processes compute on it.
  public var processes: Int
  /// The clock of its multiprocessors in MHz; 0 where it does not say.
  public var clockMegahertz: Int
  /// In degrees Celsius; 0 where it does not say.
  public var temperatureCelsius: Int
  /// True where it is cut into several (MIG).
  public var isPartitioned: Bool
  /// Why its clock is held down: the bits of `nvmlClocksThrottleReasons`.
  public var throttleReasons: UInt64

  private enum CodingKeys: String, CodingKey {
    case processes
    case clockMegahertz = "clock_megahertz"
    case temperatureCelsius = "temperature_celsius"
    case isPartitioned = "is_partitioned"
    case throttleReasons = "throttle_reasons"
  }

  /// Asks NVML. Throws `gpuMissing` where there is none, or it does not know the GPU.
  public init(of uuid: String) throws { try self.init(of: uuid, resolver: nil) }

  init(of uuid: String, resolver: iorun_gpu_resolver?) throws {
    var state = iorun_gpu_state()
    let result = iorun_gpu_look(resolver, uuid, &state)
    guard result == 0 else {
      throw IorunError(
        .gpuMissing, "NVML says nothing of \(uuid) (\(result))",
        remedy: "Install the driver's libnvidia-ml.so.1")
    }
    processes = Int(state.processes)
    clockMegahertz = Int(state.clock_mhz)
    temperatureCelsius = Int(state.temperature_celsius)
    isPartitioned = state.is_partitioned != 0
    throttleReasons = state.throttle_reasons
  }
}
