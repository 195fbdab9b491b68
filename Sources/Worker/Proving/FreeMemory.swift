internal import IorunCore

/// What the machine has free for a table of labels: it is filled for a proof, and nobody's process may
/// end for that.
struct FreeMemory: Sendable {
  /// Bytes that can be had, and all that there are; `nil` where nobody knows.
  var read: @Sendable () -> (free: Int64, total: Int64)?

  /// The machine's own, or its control group's.
  static let ofMachine = FreeMemory {
    MemoryReading(read: KernelFile.text).map { ($0.total - $0.used, $0.total) }
  }

  /// True where so many bytes can be had, and a thirty-second of all, at least 128 MiB, stays free.
  func has(_ bytes: Int) -> Bool {
    guard let reading = read() else { return true }
    return reading.free - Int64(bytes) >= max(reading.total / 32, 128 << 20)
  }
}
