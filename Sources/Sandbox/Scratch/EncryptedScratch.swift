internal import Foundation
public import IorunCore

/// How scratch is encrypted.
public enum ScratchKind: String, Sendable, Codable, CaseIterable {
  /// The kernel's dm-crypt over a file, without any header (aes-xts-plain64).
  case dmCrypt
  /// An ext4 image, which is the quota, in a folder encrypted by gocryptfs (AES-GCM).
  case gocryptfs
  /// Memory that is never swapped out; counts against nothing but its size.
  case tmpfs
}

/// One way to make scratch whose bytes on disk are worth nothing without a key that is in memory only:
/// drawn for each scratch, passed on through a pipe, kept by the kernel or the file system's process,
/// and gone when the scratch is closed or the machine stops.
///
/// It protects against stolen disks, leftovers and later tenants; not against the machine's owner, who
/// can read memory.
public protocol EncryptedScratch: Sendable {
  /// Which way.
  var kind: ScratchKind { get }
  /// Makes scratch of `size` below `folder`, which is made for it. Blocks for up to a second.
  ///
  /// - Throws: `scratchFailed`, with nothing left behind.
  func open(at folder: String, size: Bytes) throws -> ScratchMount
}

/// Open scratch.
public struct ScratchMount: Sendable {
  /// The folder to write in; only root may, until it gives it away.
  public let path: String
  /// How it is encrypted.
  public let kind: ScratchKind
  private let isHeld: @Sendable () -> Bool
  private let undo: @Sendable () throws -> Void

  /// - Parameter isHeld: whether somebody still has the key.
  init(
    path: String, kind: ScratchKind, isHeld: @escaping @Sendable () -> Bool = { true },
    undo: @escaping @Sendable () throws -> Void
  ) {
    self.path = path
    self.kind = kind
    self.isHeld = isHeld
    self.undo = undo
  }

  /// Whether it is still mounted and its key is held, as far as can be seen without writing: to write a
  /// canary to the disk and read it back, as when it was opened, takes some ten milliseconds.
  var isUsable: Bool {
    var inside = stat()
    var around = stat()
    return stat(path, &inside) == 0 && stat(path + "/..", &around) == 0
      && inside.st_dev != around.st_dev && isHeld()
  }

  /// Ends it: the key is forgotten, the ciphertext removed. No process may use it any more. Blocks
  /// for some tenths of a second. Throws `scratchFailed` where it is in use.
  public func close() throws { try undo() }
}

extension EncryptedScratch {
  /// Opens scratch and looks whether it holds what is written: another mount than what is around it,
  /// of about the size, that gives back a random canary from the disk.
  public func openChecked(at folder: String, size: Bytes, canary: [UInt8]) throws -> ScratchMount {
    let scratch = try open(at: folder, size: size)
    do {
      try ScratchCheck.run(scratch.path, outside: folder, size: size, canary: canary)
    } catch {
      try? scratch.close()
      throw error
    }
    return scratch
  }
}

/// Looks at fresh scratch.
enum ScratchCheck {
  static func run(_ path: String, outside: String, size: Bytes, canary: [UInt8]) throws {
    var inside = stat()
    var around = stat()
    var room = statvfs()
    guard stat(path, &inside) == 0, stat(outside, &around) == 0, statvfs(path, &room) == 0 else {
      throw IorunError.system("cannot look at", path, errno: errno)
    }
    guard inside.st_dev != around.st_dev else {
      throw IorunError(.scratchFailed, "nothing is mounted at \(path)")
    }
    guard UInt64(room.f_blocks) * UInt64(room.f_frsize) <= size.rawValue else {
      throw IorunError(.scratchFailed, "the scratch at \(path) is larger than asked for")
    }
    let name = path + "/.canary"
    do {
      let file = try OpenFile(name, O_CREAT | O_EXCL | O_WRONLY)
      try file.write(canary)
      try file.synchronize()
      // From the disk, not from memory.
      posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }
    let back = try OpenFile(name, O_RDONLY).read(upTo: canary.count + 1)
    unlink(name)
    guard back == canary else {
      throw IorunError(.scratchFailed, "the scratch at \(path) gives back other bytes")
    }
  }
}
