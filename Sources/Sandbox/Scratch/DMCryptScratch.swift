internal import Foundation
public import IorunCore
internal import IorunCrypto

/// Scratch by the kernel's dm-crypt in its plain mode: no header, so nothing on the disk says that, or
/// how, it is encrypted. The fastest, where the kernel has it.
public struct DMCryptScratch: EncryptedScratch {
  /// Makes the backend.
  public init() {}

  /// See ``EncryptedScratch/kind``.
  public var kind: ScratchKind { .dmCrypt }

  /// The name of the mapping, from the folder's last part.
  static func mapping(for folder: String) -> String {
    "iorun-" + (folder as NSString).lastPathComponent
  }

  /// See ``EncryptedScratch/open(at:size:)``.
  public func open(at folder: String, size: Bytes) throws -> ScratchMount {
    let image = folder + "/image"
    let mount = folder + "/mount"
    let name = Self.mapping(for: folder)
    let undo: @Sendable () throws -> Void = {
      try ScratchMounts.unmount(mount)
      CrashPoint.pass(.scratchUnmounted)
      if access("/dev/mapper/" + name, F_OK) == 0 {
        _ = try HelperProgram.run("cryptsetup", ["close", name])
      }
      for loop in ScratchMounts.loops(on: image) {
        _ = try HelperProgram.run("losetup", ["-d", loop])
      }
      CrashPoint.pass(.scratchShredded)
      try FileManager.default.removeItem(atPath: folder)
    }
    for path in [folder, mount] { try SandboxFolder.make(path, mode: 0o700) }
    do {
      try ScratchMounts.makeImage(image, size: size)
      let loop = try HelperProgram.run("losetup", ["-f", "--show", image])
        .trimmingCharacters(in: .whitespacesAndNewlines)
      var key = try SecureRandom.bytes(64)
      defer { HelperProgram.wipe(&key) }
      _ = try HelperProgram.run(
        "cryptsetup",
        [
          "open", "--type", "plain", "--cipher", "aes-xts-plain64", "--key-size", "512",
          "--key-file", "-", loop, name,
        ], input: .key(key))
      CrashPoint.pass(.scratchEncrypted)
      try ScratchMounts.makeFileSystem("/dev/mapper/" + name)
      CrashPoint.pass(.scratchFormatted)
      _ = try HelperProgram.run(
        "mount", ["-o", "nosuid,nodev,noatime", "/dev/mapper/" + name, mount])
    } catch {
      try? undo()
      throw error
    }
    CrashPoint.pass(.scratchMounted)
    chmod(mount, 0o755)
    return ScratchMount(
      path: mount, kind: kind, isHeld: { access("/dev/mapper/" + name, F_OK) == 0 }, undo: undo)
  }
}
