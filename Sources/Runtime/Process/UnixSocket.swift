internal import CShim
internal import Glibc
internal import IorunCore

/// Stream sockets of this machine. Nothing here waits for the other end.
enum UnixSocket {
  /// Listens at a path, which must be free.
  static func listen(at path: String) throws -> Int32 {
    try check(iorun_unix_listen(path, 1024), "cannot listen at '\(path)'")
  }

  /// Connects to whoever listens at a path.
  static func connect(to path: String) throws -> Int32 {
    try check(iorun_unix_connect(path), "cannot connect to '\(path)'")
  }

  /// The next connection that waits; `nil` where none does. One of another user is refused.
  static func accept(_ listener: Int32) -> Int32? {
    while true {
      var user: UInt32 = 0
      var process: Int32 = 0
      let descriptor = iorun_unix_accept(listener, &user, &process)
      guard descriptor >= 0 else { return nil }
      if user == getuid() || user == 0 { return descriptor }
      close(descriptor)
    }
  }

  /// Reads what is there: the number of bytes, 0 at the end of the stream, `nil` where there is
  /// nothing yet.
  static func read(_ descriptor: Int32, _ room: UnsafeMutableRawBufferPointer) -> Int? {
    let count = recv(descriptor, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
    if count >= 0 { return count }
    return errno == EAGAIN || errno == EINTR ? nil : 0
  }

  /// Writes what the socket takes: the number of bytes, 0 where it is full, `nil` where it is broken.
  static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int? {
    var part = iovec(
      iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    let count = iorun_send(descriptor, &part, 1)
    if count >= 0 { return count }
    return count == -Int(EAGAIN) ? 0 : nil
  }

  private static func check(_ result: Int32, _ text: String) throws -> Int32 {
    guard result < 0 else { return result }
    throw IorunError(.unreachable, "\(text): \(String(cString: strerror(-result)))")
  }
}
