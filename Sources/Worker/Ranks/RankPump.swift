import CShim
import Glibc

/// Reads what a rank prints and what its supervisor says, until both are over. Runs on a thread of
/// its own, because it blocks.
struct RankPump: Sendable {
  /// What the supervisor said.
  struct Records {
    /// The command's process id, once it ran.
    var started: pid_t?
    /// The last record.
    var end: iorun_record?
  }

  /// The read end of the pipe that is both stdout and stderr; closed at the end.
  let output: Int32
  /// Our end of the supervisor's channel; not closed here.
  let channel: Int32
  /// Where the output goes.
  let log: RankLog
  /// Told once the command runs.
  var hasStarted: @Sendable () -> Void = {}

  /// Blocks until the supervisor is gone and the output has been read to its end. Only where a
  /// killed supervisor left a process that keeps the pipe, the output is given up after a while.
  func run() -> Records {
    defer { close(output) }
    var records = Records()
    var pending: [UInt8] = []
    var outputOpen = true
    var channelOpen = true
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    defer { buffer.deallocate() }
    while outputOpen || channelOpen {
      var events = [
        pollfd(fd: outputOpen ? output : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: channelOpen ? channel : -1, events: Int16(POLLIN), revents: 0),
      ]
      let count = poll(&events, 2, channelOpen ? -1 : 2000)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { break }
      if events[0].revents != 0 {
        let done = read(output, buffer.baseAddress, buffer.count)
        if done > 0 { log.append(UnsafeRawBufferPointer(rebasing: buffer.prefix(done))) }
        if done == 0 || (done < 0 && errno != EINTR) { outputOpen = false }
      }
      if events[1].revents != 0 {
        let done = read(channel, buffer.baseAddress, buffer.count)
        if done > 0 {
          pending += buffer.prefix(done)
          take(&pending, into: &records)
        }
        if done == 0 || (done < 0 && errno != EINTR) { channelOpen = false }
      }
    }
    return records
  }

  private func take(_ pending: inout [UInt8], into records: inout Records) {
    let size = MemoryLayout<iorun_record>.size
    while pending.count >= size {
      let record = pending.withUnsafeBytes { $0.loadUnaligned(as: iorun_record.self) }
      pending.removeFirst(size)
      if record.kind == iorun_record_started {
        records.started = record.value
        hasStarted()
      } else {
        records.end = record
      }
    }
  }
}
