internal import Glibc
internal import IorunCore

/// Clocks around a measurement: the wall's, and the processor time of both processes.
struct Meter {
  private let server: clockid_t
  private let begun: (wall: Int64, caller: Int64, server: Int64)

  /// Starts to measure.
  init(server pid: Int32) throws {
    var clock = clockid_t()
    guard clock_getcpuclockid(pid, &clock) == 0 else {
      throw IorunError(.internalFault, "process \(pid) has no processor clock")
    }
    server = clock
    begun = Self.readAll(clock)
  }

  /// What has passed since, for so many calls.
  func sample(calls: Int, latencies: [Int64]? = nil) -> Sample {
    let now = Self.readAll(server)
    let sorted = latencies?.sorted()
    return Sample(
      calls: calls, elapsedSeconds: Double(now.wall - begun.wall) * 1e-9,
      callerCPUSeconds: Double(now.caller - begun.caller) * 1e-9,
      serverCPUSeconds: Double(now.server - begun.server) * 1e-9,
      p50Microseconds: sorted?.quantile(0.5).map { Double($0) * 1e-3 },
      p99Microseconds: sorted?.quantile(0.99).map { Double($0) * 1e-3 })
  }

  /// Nanoseconds on the monotonic clock.
  static func now() -> Int64 { read(CLOCK_MONOTONIC) }

  private static func readAll(_ server: clockid_t) -> (wall: Int64, caller: Int64, server: Int64) {
    (now(), read(CLOCK_PROCESS_CPUTIME_ID), read(server))
  }

  /// Nanoseconds on any clock.
  static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
