internal import Foundation
internal import IorunCore

/// Overwrites a GPU's memory, so that whoever has it next finds nothing of whoever had it before. Drivers
/// clear what they hand out in most cases, but none promises it.
public enum GPUScrub {
  /// The hidden argument by which the program runs this as a process of its own: a fault of the driver
  /// ends that process and not a node's agent.
  public static let argument = "__scrub"
  private static let piece = 64 << 20
  private static let least = 64 << 10

  /// Takes all memory that is free on a GPU, writes zeros to it and gives it back. What the driver itself
  /// keeps is not reached. Blocks for as long as that takes: the memory's size through PCI Express.
  ///
  /// - Returns: how much was overwritten.
  /// - Throws: `gpuBusy` where another process has the GPU; `gpuMissing`; `gpuFault`.
  static func run(uuid: String) throws -> Bytes {
    try run(try GPUDevice(uuid: uuid))
  }

  static func run(_ device: GPUDevice) throws -> Bytes {
    let zeros = [UInt32](repeating: 0, count: piece / 4)
    // Held until all is written: what is given back at once would be handed out again.
    var held: [GPUMemory] = []
    var size = piece
    // A driver that gives more than it has must not keep this going for ever.
    var left = try device.freeBytes()
    while size >= least {
      guard left >= UInt64(size) else {
        size /= 2
        continue
      }
      do {
        let memory = try device.allocate(size)
        try device.upload(size == piece ? zeros : Array(zeros.prefix(size / 4)), to: memory)
        held.append(memory)
        left -= UInt64(size)
      } catch let error as IorunError where error.code == .noMemoryForProof {
        size /= 2
      }
    }
    try device.wait()
    return Bytes(held.reduce(0) { $0 + UInt64($1.byteCount) })
  }

  /// The whole life of the process: `PROGRAM __scrub UUID` prints how many bytes were overwritten, or
  /// what stood in the way.
  ///
  /// - Returns: the process's exit status: 0; 75 (sysexits' `EX_TEMPFAIL`) where another process has the
  ///   GPU; 1.
  public static func run(_ arguments: [String]) -> Int32 {
    guard let uuid = arguments.dropFirst(2).first else { return 64 }
    do {
      print(try run(uuid: uuid).rawValue)
      return 0
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      return (error as? IorunError)?.code == .gpuBusy ? EX_TEMPFAIL : 1
    }
  }
}
