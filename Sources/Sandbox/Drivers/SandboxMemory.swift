internal import CSandbox
internal import IorunCore

/// Memory that programs in sandboxes share with their agent by a descriptor: an anonymous file whose
/// size none of them can change, so that no read of the agent's ever lies beyond its end.
public enum SandboxMemory {
  /// Makes one of `size` bytes, all zero and none of them taken yet. The descriptor is the caller's.
  ///
  /// - Throws: `fileSystem`.
  public static func make(size: Int64) throws -> Int32 {
    let descriptor = iorun_box_shared_memory(size)
    guard descriptor >= 0 else {
      throw IorunError.system("cannot make", "memory to share", errno: -descriptor)
    }
    return descriptor
  }
}
