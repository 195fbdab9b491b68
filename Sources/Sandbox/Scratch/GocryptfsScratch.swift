internal import Foundation
public import IorunCore
internal import IorunCrypto

/// Scratch as an ext4 image in a folder that gocryptfs encrypts. The image is the quota, and hides
/// names and sizes; small files are faster in it than in gocryptfs itself (0.28 s instead of 3.9 s for
/// 2,000 files).
public struct GocryptfsScratch: EncryptedScratch {
  /// Makes the backend.
  public init() {}

  /// See ``EncryptedScratch/kind``.
  public var kind: ScratchKind { .gocryptfs }

  /// See ``EncryptedScratch/open(at:size:)``.
  public func open(at folder: String, size: Bytes) throws -> ScratchMount {
    let cipher = folder + "/cipher"
    let plain = folder + "/plain"
    let mount = folder + "/mount"
    let image = plain + "/image"
    let undo: @Sendable () throws -> Void = {
      try ScratchMounts.unmount(mount)
      CrashPoint.pass(.scratchUnmounted)
      try ScratchMounts.waitForLoop(image)
      // Ends gocryptfs, and with it the key.
      try ScratchMounts.unmount(plain)
      CrashPoint.pass(.scratchShredded)
      try FileManager.default.removeItem(atPath: folder)
    }
    for path in [folder, cipher, plain, mount] { try SandboxFolder.make(path, mode: 0o700) }
    do {
      // Without a configuration file no form of the key is on disk; each folder needs its vector.
      try OpenFile(cipher + "/gocryptfs.diriv", O_CREAT | O_EXCL | O_WRONLY, mode: 0o400)
        .write(SecureRandom.bytes(16))
      var key = try SecureRandom.bytes(32).flatMap { byte in
        [byte >> 4, byte & 15].map { Array("0123456789abcdef".utf8)[Int($0)] }
      }
      defer { HelperProgram.wipe(&key) }
      _ = try HelperProgram.run(
        "gocryptfs", ["-q", "-masterkey=stdin", "-nosyslog", cipher, plain], input: .key(key))
      CrashPoint.pass(.scratchEncrypted)
      try ScratchMounts.makeImage(image, size: size)
      try ScratchMounts.makeFileSystem(image)
      CrashPoint.pass(.scratchFormatted)
      _ = try HelperProgram.run("mount", ["-o", "loop,nosuid,nodev,noatime", image, mount])
    } catch {
      try? undo()
      throw error
    }
    CrashPoint.pass(.scratchMounted)
    chmod(mount, 0o755)
    // Its process answers, or the kernel says that it is gone.
    let isHeld: @Sendable () -> Bool = { (try? OpenFile(image, O_RDONLY)) != nil }
    return ScratchMount(path: mount, kind: kind, isHeld: isHeld, undo: undo)
  }
}
