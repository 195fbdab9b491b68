internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// A pipe, terminal or socket of this machine that tasks read and write without a thread each. It
/// closes itself.
///
/// One task reads and one writes at a time. The direction that is read and the one that is written
/// are watched under descriptors of their own, so that they can wait at the same time.
public final class Descriptor: Sendable {
  private struct State {
    var isClosed = false
  }

  /// The kernel's number for it, good as long as this object lives and is not closed.
  public let number: Int32
  private let writeNumber: Int32
  private let poller: DescriptorPoller
  private let readKey: UInt64
  private let writeKey: UInt64
  private let state = Mutex(State())

  /// Takes over a non-blocking descriptor; it is closed also where this throws.
  ///
  /// - Throws: `fileSystem` where no descriptor is left.
  public init(adopting number: Int32) throws {
    let other = fcntl(number, F_DUPFD_CLOEXEC, 3)
    let reason = errno
    do {
      guard other >= 0 else { throw IorunError.system("cannot open", "a stream", errno: reason) }
      poller = try DescriptorPoller.shared.get()
    } catch {
      Glibc.close(number)
      if other >= 0 { Glibc.close(other) }
      throw error
    }
    self.number = number
    writeNumber = other
    (readKey, writeKey) = (poller.drawKey(), poller.drawKey())
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
  }

  deinit { close() }

  /// What can be read, at least one byte and at most `most`; `nil` at the end. A terminal whose
  /// programs are all gone is at its end.
  ///
  /// - Throws: `fileSystem` where the other side broke it; `CancellationError`.
  public func read(upTo most: Int) async throws -> [UInt8]? {
    while true {
      try Task.checkCancellation()
      var reason: Int32 = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
        let done = state.withLock { $0.isClosed ? 0 : Glibc.read(number, buffer.baseAddress, most) }
        if done < 0 { reason = errno }
        count = max(0, done)
      }
      if !bytes.isEmpty { return bytes }
      if reason == 0 || reason == EIO { return nil }
      if reason == EINTR { continue }
      guard reason == EAGAIN else {
        throw IorunError.system("cannot read", "a stream", errno: reason)
      }
      await poller.wait(number, key: readKey, toWrite: false)
    }
  }

  /// Writes all of `bytes`; waits while they are not taken.
  ///
  /// - Throws: `fileSystem` where the other side takes no more; `CancellationError`.
  public func write(_ bytes: [UInt8]) async throws {
    var start = 0
    while start < bytes.count {
      try Task.checkCancellation()
      let (done, reason) = bytes.withUnsafeBytes { buffer -> (Int, Int32) in
        let rest = UnsafeRawBufferPointer(rebasing: buffer[start...])
        return state.withLock { state in
          if state.isClosed { return (-1, EPIPE) }
          let done = Glibc.write(writeNumber, rest.baseAddress, rest.count)
          return (done, done < 0 ? errno : 0)
        }
      }
      if done >= 0 {
        start += done
      } else if reason == EAGAIN {
        await poller.wait(writeNumber, key: writeKey, toWrite: true)
      } else if reason != EINTR {
        throw IorunError.system("cannot write", "a stream", errno: reason)
      }
    }
  }

  /// Waits until something can be read, or accepted.
  public func readable() async { await poller.wait(number, key: readKey, toWrite: false) }

  /// Waits until it can be written, or its connection is decided.
  public func writable() async { await poller.wait(writeNumber, key: writeKey, toWrite: true) }

  /// Tells a socket's other side that no more comes.
  public func finishWriting() {
    state.withLock { if !$0.isClosed { _ = shutdown(writeNumber, Int32(SHUT_WR)) } }
  }

  /// Closes it; who waits for it is woken.
  public func close() {
    let isFirst = state.withLock { state in
      if state.isClosed { return false }
      state.isClosed = true
      // Under the lock, so that nobody uses a number that is already another's.
      Glibc.close(number)
      Glibc.close(writeNumber)
      return true
    }
    guard isFirst else { return }
    poller.wake(readKey)
    poller.wake(writeKey)
  }
}

extension Descriptor {
  /// What is read at once.
  private static let piece = 128 << 10

  /// Copies between a TCP connection and a stream, both ways, until both are at their end: a side
  /// that has finished is told to the other, which may go on.
  ///
  /// - Throws: the reason where either broke; the other is then broken off too.
  public func join(_ stream: any ByteStream) async throws {
    do {
      try await withThrowingTaskGroup { group in
        group.addTask {
          while let bytes = try await self.read(upTo: Self.piece) { try await stream.write(bytes) }
          try await stream.finish()
        }
        group.addTask {
          while let bytes = try await stream.read(upTo: .max) { try await self.write(bytes) }
          self.finishWriting()
        }
        try await group.waitForAll()
      }
    } catch {
      stream.reset(
        error as? IorunError ?? IorunError(.cancelled, "the connection was given up", cause: error))
      // The other side of the connection must not take what came so far for the whole.
      _ = iorun_tcp_abort_on_close(number)
      close()
      throw error
    }
    close()
  }
}
