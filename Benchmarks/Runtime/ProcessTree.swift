import Foundation
import Glibc

/// The processes below one: what a whole system under measurement costs.
struct ProcessTree {
  let root: pid_t

  /// Processor time of all of them so far, those that have ended and were waited for included.
  var processorSeconds: Double {
    var children: [pid_t: [pid_t]] = [:]
    var ended: [pid_t: Double] = [:]
    for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
      // It may end between the listing and the reading.
      guard let pid = pid_t(entry), let fields = Self.fields(of: pid), fields.count > 14,
        let parent = pid_t(fields[1])
      else { continue }
      children[parent, default: []].append(pid)
      ended[pid] = ((Double(fields[13]) ?? 0) + (Double(fields[14]) ?? 0)) / Self.ticks
    }
    var total = 0.0
    var queue = children[root] ?? []
    while let pid = queue.popLast() {
      queue += children[pid] ?? []
      total += Self.processorClock(of: pid) + (ended[pid] ?? 0)
    }
    return total
  }

  private static let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))

  /// In nanoseconds, where /proc has hundredths of a second.
  private static func processorClock(of pid: pid_t) -> Double {
    var clock = clockid_t()
    var time = timespec()
    guard clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func fields(of pid: pid_t) -> [Substring]? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      // The name is in brackets and may hold anything, brackets too.
      let end = text.lastIndex(of: ")")
    else { return nil }
    return text[text.index(after: end)...].split(separator: " ")
  }
}
