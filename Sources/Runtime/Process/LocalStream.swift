internal import Glibc
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// One connected stream socket: frames come out of it, bytes are gathered for it and written when the
/// executor has nothing left to run.
///
/// Safety of `@unchecked Sendable`: `reader` and `isGreeted` belong to the thread that holds the
/// executor's baton; the rest is constant or behind `out`.
final class LocalStream: @unchecked Sendable {
  private struct Out {
    var bytes: [UInt8] = []
    var sent = 0
    var isListed = false
    var isBlocked = false
    var isClosed = false
  }

  /// More gathered bytes than this are written at once.
  private static let writeAt = 64 * 1024

  let token: UInt64
  let reader = LocalFrameReader()
  private let descriptor: Int32
  private unowned let loop: StreamLoop
  private let out = Mutex(Out())

  init(_ descriptor: Int32, token: UInt64, loop: StreamLoop) {
    self.descriptor = descriptor
    self.token = token
    self.loop = loop
  }

  /// Gathers bytes. Frames of one thread leave in the order in which they were given.
  ///
  /// - Throws: `unreachable` where the stream has ended; `overloaded` where the other end does not
  ///   read.
  func append(_ write: (inout [UInt8]) throws -> Void) throws {
    let (lists, isFull) = try out.withLock { out in
      guard !out.isClosed else {
        throw IorunError(.unreachable, "the other process has ended its connection")
      }
      guard out.bytes.count - out.sent < LocalLimits.waitingBytes else {
        throw IorunError(
          .overloaded, "\(out.bytes.count - out.sent) bytes wait for a process that does not read",
          remedy: "Keep fewer calls open at a time")
      }
      let start = out.bytes.count
      do {
        try write(&out.bytes)
      } catch {
        out.bytes.removeSubrange(start...)
        throw error
      }
      let lists = !out.isListed
      out.isListed = true
      return (lists, out.bytes.count - out.sent >= Self.writeAt && !out.isBlocked)
    }
    if lists { loop.list(self) }
    if isFull { flush() }
  }

  /// Writes what the socket takes; the rest goes when it has room again.
  func flush() {
    let failed = out.withLock { out in
      out.isListed = false
      return !write(&out)
    }
    if failed { loop.endLater(self) }
  }

  private func write(_ out: inout Out) -> Bool {
    while !out.isClosed, out.sent < out.bytes.count {
      let count = out.bytes.withUnsafeBytes { bytes in
        UnixSocket.write(descriptor, UnsafeRawBufferPointer(rebasing: bytes[out.sent...]))
      }
      guard let count else { return false }
      guard count == 0 else {
        out.sent += count
        continue
      }
      if !out.isBlocked {
        out.isBlocked = true
        loop.watch(descriptor, token, writable: true)
      }
      if out.sent > 1 << 20 {
        out.bytes.removeFirst(out.sent)
        out.sent = 0
      }
      return true
    }
    if out.isBlocked, !out.isClosed {
      out.isBlocked = false
      loop.watch(descriptor, token, writable: false)
    }
    out.bytes.removeAll(keepingCapacity: out.bytes.capacity <= 1 << 20)
    out.sent = 0
    return true
  }

  /// Reads what is there into the reader; false at the end of the stream. Only with the baton.
  func read() -> Bool {
    guard let count = UnixSocket.read(descriptor, reader.room()) else { return true }
    reader.commit(count)
    return count > 0
  }

  /// Ends the stream; what was not written is gone.
  func close() {
    out.withLock { out in
      guard !out.isClosed else { return }
      out.isClosed = true
      out.bytes = []
      out.sent = 0
      Glibc.close(descriptor)
    }
  }
}
