internal import CShim
internal import Glibc
internal import IorunCore

/// What epoll says about descriptors, and an eventfd that ends a wait. Any thread may add, change and
/// wake; one thread at a time waits.
final class Poller: Sendable {
  /// One descriptor that can be read or written, or whose other end is gone.
  struct Event {
    let token: UInt64
    let isReadable: Bool
    let isWritable: Bool
  }

  /// The most events of one wait.
  static let eventLimit = 64

  /// The token of the eventfd; no descriptor has it.
  private static let wakeToken = UInt64.max
  private static let read = Int32(iorun_poller_read)
  private static let write = Int32(iorun_poller_write)

  private let poller: Int32
  private let wake: Int32

  init() throws {
    poller = iorun_poller_create()
    wake = iorun_eventfd_create()
    try Self.check(min(poller, wake))
    try Self.check(iorun_poller_add(poller, wake, Self.wakeToken, Self.read))
  }

  deinit {
    if poller >= 0 { close(poller) }
    if wake >= 0 { close(wake) }
  }

  /// Begins to watch a descriptor. It leaves by itself when it is closed.
  func add(_ descriptor: Int32, token: UInt64) throws {
    try Self.check(iorun_poller_add(poller, descriptor, token, Self.read))
  }

  /// Watches for room to write, too, or no longer.
  func watch(_ descriptor: Int32, token: UInt64, writable: Bool) throws {
    try Self.check(
      iorun_poller_change(
        poller, descriptor, token, writable ? Self.read | Self.write : Self.read))
  }

  /// Ends a wait that is under way, or the next one.
  func interrupt() { iorun_eventfd_signal(wake) }

  /// Waits for events; -1 without end. The number that came, interruptions counted.
  func wait(milliseconds: Int32, _ handle: (Event) -> Void) -> Int {
    withUnsafeTemporaryAllocation(of: iorun_ready.self, capacity: Self.eventLimit) { ready in
      let count = Int(
        iorun_poller_wait(poller, ready.baseAddress, Int32(Self.eventLimit), milliseconds))
      guard count > 0 else { return 0 }
      for event in ready[..<count] {
        guard event.key != Self.wakeToken else {
          iorun_eventfd_drain(wake)
          continue
        }
        handle(
          Event(
            token: event.key, isReadable: event.events & Self.read != 0,
            isWritable: event.events & Self.write != 0))
      }
      return count
    }
  }

  private static func check(_ result: Int32) throws {
    guard result < 0 else { return }
    throw IorunError(
      .internalFault, "cannot watch sockets: \(String(cString: strerror(-result)))",
      remedy: "Raise the limit on open files (`ulimit -n`)")
  }
}
