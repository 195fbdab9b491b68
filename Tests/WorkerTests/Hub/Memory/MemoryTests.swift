import IorunCore
import Testing

@testable import IorunWorker

/// Who ends when there is no memory left, and how that is found out.
struct MemoryTests {
  private let start = ContinuousClock.now
  private let full = MemoryReading(used: 96, total: 100)

  private func candidate(
    _ order: UInt64, mebibytes: Int64 = 100, isRetriable: Bool = true
  ) -> MemoryPressure.Candidate {
    MemoryPressure.Candidate(
      worker: WorkerID(high: 1, low: order), bytes: mebibytes << 20, order: order,
      isRetriable: isRetriable)
  }

  @Test func `the newest whose work is done again ends first`() {
    var pressure = MemoryPressure()
    let all = [candidate(1), candidate(3), candidate(2), candidate(9, isRetriable: false)]
    #expect(pressure.victims(full, all, now: start).map(\.order) == [3])
  }

  @Test func `where nobody's work is done again the newest ends all the same`() {
    var pressure = MemoryPressure()
    let all = [candidate(1, isRetriable: false), candidate(2, isRetriable: false)]
    #expect(pressure.victims(full, all, now: start).map(\.order) == [2])
  }

  @Test func `who is idle ends before anybody who works`() {
    var pressure = MemoryPressure()
    var idle = candidate(0, mebibytes: 1024)
    idle.order = nil
    #expect(pressure.victims(full, [candidate(5), idle], now: start) == [idle])
    // A smaller one may own what others need.
    pressure = MemoryPressure()
    idle = candidate(0, mebibytes: 1023)
    idle.order = nil
    #expect(pressure.victims(full, [candidate(5), idle], now: start) == [candidate(5)])
  }

  @Test func `so many end that the use is below the threshold again`() {
    var pressure = MemoryPressure()
    // 200 MiB too much.
    let reading = MemoryReading(used: 9_700 << 20, total: 10_000 << 20)
    let all = [candidate(1), candidate(2, mebibytes: 150), candidate(3, mebibytes: 70)]
    #expect(pressure.victims(reading, all, now: start).map(\.order) == [3, 2])
  }

  @Test func `bytes that are enough to be free raise the threshold`() {
    var settings = MemoryPressure.Settings()
    settings.limit = 0.5
    #expect(settings.threshold(1000) == 500)
    settings.enoughFree = 100
    #expect(settings.threshold(1000) == 900)
    settings.enoughFree = 800
    #expect(settings.threshold(1000) == 500)
  }

  @Test func `who has hardly any memory stays`() {
    var pressure = MemoryPressure()
    #expect(pressure.victims(full, [candidate(1, mebibytes: 10)], now: start).isEmpty)
    #expect(
      pressure.victims(full, [candidate(1), candidate(2, mebibytes: 1)], now: start).map(\.order)
        == [1])
  }

  @Test func `nobody ends below the limit, or while the last one's memory comes back`() {
    var pressure = MemoryPressure()
    let all = [candidate(1), candidate(2)]
    #expect(pressure.victims(MemoryReading(used: 94, total: 100), all, now: start).isEmpty)
    #expect(!pressure.victims(full, all, now: start).isEmpty)
    #expect(
      pressure.victims(full, all, areGone: false, now: start + .seconds(1)).isEmpty)
    #expect(!pressure.victims(full, all, areGone: true, now: start + .seconds(1)).isEmpty)
    #expect(!pressure.victims(full, all, areGone: false, now: start + .seconds(4)).isEmpty)
  }

  private let files = [
    "/proc/meminfo": "MemTotal:       1000 kB\nMemFree: 100 kB\nMemAvailable:    600 kB\n",
    "/proc/self/cgroup": "0::/box\n",
    "/sys/fs/cgroup/box/memory.max": "512000\n",
    "/sys/fs/cgroup/box/memory.current": "400000\n",
    "/sys/fs/cgroup/box/memory.stat": "anon 1\ninactive_file 100000\n",
    "/proc/7/statm": "5000 300 100 1 0 200 0\n",
  ]

  @Test func `the machine or its control group counts, whichever is nearer its end`() {
    #expect(MemoryReading { files[$0] } == MemoryReading(used: 300_000, total: 512_000))
    var unbounded = files
    unbounded["/sys/fs/cgroup/box/memory.max"] = "max\n"
    #expect(MemoryReading { unbounded[$0] } == MemoryReading(used: 409_600, total: 1_024_000))
    #expect(MemoryReading { _ in nil } == nil)
    #expect(MemoryReading { _ in "nonsense" } == nil)
  }

  @Test func `what a process shares does not count as its own`() {
    #expect(MemoryReading.ofProcess(7, pageSize: 4096) { files[$0] } == Int64(819_200))
    #expect(MemoryReading.ofProcess(8, pageSize: 4096) { files[$0] } == nil)
  }
}
