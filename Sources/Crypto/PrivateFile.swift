internal import Foundation
internal import IorunCore

/// Files that hold secrets: mode 0600, replaced as a whole or not at all, and refused when anybody
/// else could have read or put them there. Every call may block on the disk.
public enum PrivateFile {
  /// Puts `bytes` at `path`, durable once this returns; a crash leaves either the old content or
  /// the new. Throws `diskFull`, `fileMissing` (no such folder) or `fileSystem`.
  public static func write(_ bytes: [UInt8], to path: String) throws {
    let (folder, name) = split(path)
    let suffix = try SecureRandom.bytes(8)
    let temporary = "\(folder)/.\(name).\(Base32.encode(suffix)).tmp"
    do {
      let file = try OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
      try file.write(bytes)
      try file.synchronize()
      guard rename(temporary, path) == 0 else {
        throw IorunError.system("cannot write", path, errno: errno)
      }
    } catch {
      unlink(temporary)
      throw error
    }
    try OpenFile(folder, O_RDONLY | O_DIRECTORY).synchronize()
  }

  /// Reads the file at `path`. Throws `identityUnusable` where it is no regular file, is larger
  /// than `maximum` bytes, belongs to another user or lets group or others in; `fileMissing` where
  /// nothing is there.
  public static func read(_ path: String, maximum: Int) throws -> [UInt8] {
    // O_NONBLOCK: opening a FIFO that someone put here must not hang; it means nothing for files.
    let file = try OpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    let status = try file.status()
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw IorunError(
        .identityUnusable, "'\(path)' is not a regular file", remedy: "Move it out of the way")
    }
    guard status.st_uid == geteuid() else {
      throw IorunError(
        .identityUnusable, "'\(path)' holds a secret but belongs to user \(status.st_uid)",
        remedy: "Run as that user, or use another state folder")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw IorunError(
        .identityUnusable, "'\(path)' holds a secret but other users may open it",
        remedy: "Run: chmod 600 '\(path)'")
    }
    let bytes = try file.read(upTo: maximum + 1)
    guard bytes.count <= maximum else {
      throw IorunError(
        .identityUnusable, "'\(path)' is larger than the \(maximum) bytes it should have at most",
        remedy: "Restore it from a backup")
    }
    return bytes
  }

  private static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let folder = slash == path.startIndex ? "/" : String(path[..<slash])
    return (folder, String(path[path.index(after: slash)...]))
  }
}
