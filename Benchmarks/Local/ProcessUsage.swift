internal import Foundation
internal import Glibc
internal import IorunCore

/// What a process of the network uses, from when this value was made on.
struct ProcessUsage {
  private struct Record: Decodable { var pid: Int32 }

  private let pid: Int32
  private let clock: clockid_t
  private let begun: (wall: Int64, processor: Int64)

  init(named name: String, in folder: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/run/\(name).json"))
    pid = try JSONDecoder().decode(Record.self, from: data).pid
    var clock = clockid_t()
    guard clock_getcpuclockid(pid, &clock) == 0 else {
      throw IorunError(.internalFault, "process \(pid) has no processor clock")
    }
    self.clock = clock
    begun = (Meter.now(), Meter.read(clock))
  }

  /// The memory now, and the processor time since the start.
  ///
  /// - Throws: `internalFault` where the process has ended.
  func idle() throws -> LocalResult.Idle {
    let memory = Machine.text("/proc/\(pid)/smaps_rollup")
    let status = Machine.text("/proc/\(pid)/status")
    guard let resident = kibibytes("Rss", memory), let proportional = kibibytes("Pss", memory),
      let threads = Machine.field("Threads", in: status).flatMap({ Int($0) })
    else { throw IorunError(.internalFault, "process \(pid) ended during the benchmark") }
    let processor = Meter.read(clock) - begun.processor
    return LocalResult.Idle(
      residentBytes: resident * 1024, proportionalBytes: proportional * 1024, threads: threads,
      cpuPercent: Double(processor) / Double(Meter.now() - begun.wall) * 100)
  }

  private func kibibytes(_ name: String, _ text: String) -> UInt64? {
    Machine.field(name + ":", in: text)?.split(separator: " ").first.flatMap { UInt64($0) }
  }
}
