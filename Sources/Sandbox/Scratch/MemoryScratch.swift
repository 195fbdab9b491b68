internal import Foundation
public import IorunCore

/// Scratch in memory that is not swapped out, for small jobs where nothing else works.
public struct MemoryScratch: EncryptedScratch {
  /// Makes the backend.
  public init() {}

  /// See ``EncryptedScratch/kind``.
  public var kind: ScratchKind { .tmpfs }

  /// See ``EncryptedScratch/open(at:size:)``.
  public func open(at folder: String, size: Bytes) throws -> ScratchMount {
    let mount = folder + "/mount"
    for path in [folder, mount] { try SandboxFolder.make(path, mode: 0o700) }
    let flags = UInt(MS_NOSUID | MS_NODEV)
    let options = "mode=0755,size=\(size.rawValue)"
    // `noswap` since Linux 6.4; before, only where there is no swap: its first line is a heading.
    var result = Foundation.mount("tmpfs", mount, "tmpfs", flags, options + ",noswap")
    if result != 0, ControlGroup.text("/proc/swaps").split(separator: "\n").count < 2 {
      result = Foundation.mount("tmpfs", mount, "tmpfs", flags, options)
    }
    guard result == 0 else {
      let number = errno
      try? FileManager.default.removeItem(atPath: folder)
      throw IorunError(
        .scratchFailed, "cannot mount memory at \(mount): \(String(cString: strerror(number)))",
        remedy: "Run the node as root, and turn swap off")
    }
    return ScratchMount(path: mount, kind: kind) {
      try ScratchMounts.unmount(mount)
      try FileManager.default.removeItem(atPath: folder)
    }
  }
}
