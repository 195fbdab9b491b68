public import IorunCore

/// Finds the machine's GPUs. NVIDIA's are found by `NVML`; tests bring their own.
public protocol GPUProvider: Sendable {
  /// All GPUs in device order; empty where there are none or their driver does not answer.
  func gpus() -> [NodeFacts.GPU]
}
