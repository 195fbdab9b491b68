public import Foundation

/// An open file or folder that closes itself: the few system calls that durable and careful file
/// code needs, with errors that name the path. Every call may block on the disk.
public struct OpenFile: ~Copyable, Sendable {
  /// The kernel's number for it, good as long as this value lives.
  public let descriptor: Int32
  /// The path it was opened by, for messages.
  public let path: String

  /// Opens `path`. `O_CLOEXEC` is always added.
  ///
  /// - Parameters:
  ///   - path: the path, as the kernel takes it.
  ///   - flags: `O_RDONLY`, `O_WRONLY | O_CREAT` and so on.
  ///   - mode: the mode of a file that is created, before the process's umask.
  /// - Throws: what ``IorunError/system(_:_:errno:)`` makes of the failure.
  public init(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws {
    let descriptor = retryingInterrupts { open(path, flags | O_CLOEXEC, mode) }
    guard descriptor >= 0 else { throw IorunError.system("cannot open", path, errno: errno) }
    self.init(adopting: descriptor, path: path)
  }

  /// Opens `name` below `folder`, which need not have a path any more. Throws as `init(_:_:mode:)`.
  public init(
    _ name: String, in folder: borrowing OpenFile, _ flags: Int32, mode: mode_t = 0o600
  ) throws {
    let parent = folder.descriptor
    let path = folder.path + "/" + name
    let descriptor = retryingInterrupts { openat(parent, name, flags | O_CLOEXEC, mode) }
    guard descriptor >= 0 else { throw IorunError.system("cannot open", path, errno: errno) }
    self.init(adopting: descriptor, path: path)
  }

  /// Takes over an open descriptor; `path` is for messages.
  public init(adopting descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { _ = close(descriptor) }

  /// What the kernel says of it: kind, size, owner, mode.
  public func status() throws -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw IorunError.system("cannot look at", path, errno: errno)
    }
    return status
  }

  /// Reads from where the last read ended until `buffer` is full or the file ends; returns how many
  /// bytes came.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let count = retryingInterrupts { Foundation.read(descriptor, rest.baseAddress, rest.count) }
      guard count >= 0 else { throw IorunError.system("cannot read", path, errno: errno) }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Reads at most `count` bytes from where the last read ended; fewer only at the file's end.
  public func read(upTo count: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = try read(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  /// Reads at most `count` bytes from `offset`; fewer only at the file's end. Does not move the
  /// place where the next `read` starts.
  public func read(upTo count: Int, at offset: UInt64) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      let buffer = UnsafeMutableRawBufferPointer(buffer)
      while filled < buffer.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        let position = off_t(clamping: offset + UInt64(filled))
        let got = retryingInterrupts { pread(descriptor, rest.baseAddress, rest.count, position) }
        guard got >= 0 else { throw IorunError.system("cannot read", path, errno: errno) }
        if got == 0 { break }
        filled += got
      }
    }
  }

  /// Writes all of `bytes`. Throws `diskFull` where there is no room; some bytes may then stand.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let count = retryingInterrupts { Foundation.write(descriptor, rest.baseAddress, rest.count) }
      guard count >= 0 else { throw IorunError.system("cannot write", path, errno: errno) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Writes all of `bytes`. Throws `diskFull` where there is no room; some bytes may then stand.
  public func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Returns once everything written so far is on the disk (of a folder: its list of names).
  public func synchronize() throws {
    guard retryingInterrupts({ fsync(descriptor) }) == 0 else {
      throw IorunError.system("cannot write", path, errno: errno)
    }
  }
}

/// Repeats a system call that a signal interrupted before it did anything.
private func retryingInterrupts<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}
