internal import Glibc

/// An exclusive lock on a file, held until it is unlocked or the process ends, however it ends.
public struct FileLock: Sendable {
  private let descriptor: Int32

  /// Takes the lock.
  ///
  /// - Throws: `alreadyRunning` where another process holds it; `fileSystem` where the file cannot
  ///   be made.
  public init(_ path: String) throws {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw IorunError(
        .fileSystem, "cannot open \(path): \(String(cString: strerror(errno)))",
        remedy: "Check the folder's rights, or choose another with --state-dir")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw IorunError(
        .alreadyRunning, "another iorun holds \(path)",
        remedy: "Use it, stop it, or choose another folder with --state-dir")
    }
  }

  /// Gives the lock back.
  public func unlock() { close(descriptor) }
}
