internal import CShim
internal import Glibc
internal import IorunCore

/// Waits for the end of a process that need not be a child, by its descriptor (`pidfd_open`, Linux 5.3):
/// the kernel says when, instead of being asked a hundred times a second.
final class ProcessEnd: Sendable {
  private let descriptor: Int32

  /// `nil` where the process does not run any more, or the kernel has no such descriptors.
  init?(of record: ProcessRecord) {
    descriptor = iorun_pidfd_open(record.pid)
    // Looked at after the descriptor was had: from here on the id cannot become another process's.
    guard descriptor >= 0 else { return nil }
    if !record.isRunning { return nil }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Blocks until the process has ended, or until `deadline`.
  func wait(until deadline: ContinuousClock.Instant) {
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while true {
      let left = Int32(clamping: Int64(max(.zero, deadline - .now) / .milliseconds(1)))
      let count = poll(&watched, 1, left)
      if count > 0 || left == 0 || (count < 0 && errno != EINTR) { return }
    }
  }
}
