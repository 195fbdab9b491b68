public import IorunCore

/// Finds the machine's GPUs. NVIDIA's are found by `NVML`; tests bring their own.
public protocol GPUProvider: Sendable {
  /// All GPUs in device order; empty where there are none or their driver does not answer.
  func gpus() -> [NodeFacts.GPU]

  /// The minor number of each GPU's device file, by UUID: that of `/dev/nvidia3` is 3, whatever its place
  /// in ``gpus()``. GPUs of which it is not known are left out.
  func minorNumbers() -> [String: Int]

  /// What goes on there now; empty where nobody says. Blocks for some hundredths of a second.
  func states() -> [GPUState]
}

extension GPUProvider {
  /// None is known.
  public func minorNumbers() -> [String: Int] { [:] }

  /// Nobody says.
  public func states() -> [GPUState] { [] }
}

/// What goes on at one GPU.
public struct GPUState: Hashable, Sendable {
  /// A process that computes there.
  public struct Use: Hashable, Sendable {
    /// Its id on the machine.
    public var pid: Int32
    /// What it holds of the GPU's memory; zero where the driver does not say.
    public var memory: Bytes

    /// Describes one.
    public init(pid: Int32, memory: Bytes) {
      self.pid = pid
      self.memory = memory
    }
  }

  /// Its place in device order.
  public var index: Int
  /// In degrees Celsius; `nil` where it does not say.
  public var temperatureCelsius: Int?
  /// Who computes there.
  public var processes: [Use]
  /// Its device's file: `/dev/nvidia0`; `nil` where the driver does not say which it is.
  public var path: String?

  /// Describes a GPU.
  public init(index: Int, temperatureCelsius: Int?, processes: [Use], path: String?) {
    self.index = index
    self.temperatureCelsius = temperatureCelsius
    self.processes = processes
    self.path = path
  }
}
