public import IorunCore

/// The most that one sandbox may use. Every value is enforced by the kernel or the launch is refused,
/// except where ``ControlGroup/missing`` says that the host cannot.
public struct SandboxLimits: Hashable, Sendable {
  /// Memory, without swap.
  public var memory: Bytes
  /// Processes and threads.
  public var processes: Int
  /// Processor time, in thousandths of a core.
  public var milliCPUs: Int
  /// What `/tmp` holds; counts as memory.
  public var temporary: Bytes
  /// What `/dev/shm` holds; counts as memory.
  public var sharedMemory: Bytes
  /// Open files of one process.
  public var openFiles: Int
  /// The largest file that it may write.
  public var fileSize: Bytes

  /// Sets limits; those left out suit a small task.
  public init(
    memory: Bytes, processes: Int = 1024, milliCPUs: Int, temporary: Bytes = .mebi(64),
    sharedMemory: Bytes = .mebi(64), openFiles: Int = 1024, fileSize: Bytes = .gibi(1024)
  ) {
    self.memory = memory
    self.processes = processes
    self.milliCPUs = milliCPUs
    self.temporary = temporary
    self.sharedMemory = sharedMemory
    self.openFiles = openFiles
    self.fileSize = fileSize
  }
}

/// One of the limits that a control group enforces.
public enum SandboxLimit: String, Hashable, Sendable, Codable, CaseIterable {
  case memory
  case processes
  case cpu
}

/// What a sandbox used, as its control groups counted it.
public struct SandboxUsage: Hashable, Sendable {
  /// The most memory at once, the kernel's cache of its files included; `nil` where it is not counted.
  public var peakMemory: Bytes?
  /// How often the kernel killed for want of memory.
  public var outOfMemoryKills = 0
  /// How often a new process or thread was refused.
  public var refusedProcesses = 0
  /// How long it waited because its processor time was used up.
  public var throttled: Duration = .zero

  /// Nothing was counted.
  public init() {}
}
