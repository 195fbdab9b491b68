import Foundation

/// Finds processes of this machine by what they were started with.
enum ProcessScan {
  /// One process.
  struct Found: CustomStringConvertible, Sendable {
    var pid: Int32
    var commandLine: String
    var description: String { "\(pid) \(commandLine.prefix(200))" }
  }

  /// Processes whose environment or command line contains `marker`. What a rank forks inherits its
  /// environment, also after setsid; a process of which only the exit status is left is not counted.
  static func all(_ marker: String) -> [Found] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap(Int32.init).compactMap { pid in
      guard pid != getpid(), state(pid) != "Z" else { return nil }
      let line = text("/proc/\(pid)/cmdline")
      guard line.contains(marker) || text("/proc/\(pid)/environ").contains(marker) else {
        return nil
      }
      return Found(pid: pid, commandLine: line.replacingOccurrences(of: "\0", with: " "))
    }
  }

  /// True while the process runs.
  static func isRunning(_ pid: Int32) -> Bool {
    guard let state = state(pid) else { return false }
    return state != "Z"
  }

  /// The letter of the process's state in `/proc/PID/stat`; `nil` where there is none.
  private static func state(_ pid: Int32) -> Character? {
    let stat = text("/proc/\(pid)/stat")
    guard let end = stat.lastIndex(of: ")") else { return nil }
    return stat[stat.index(after: end)...].first { $0 != " " }
  }

  /// A file's whole text, empty where it is missing. Kernel files say size 0, and of those
  /// `FileManager.contents` gives the first page only.
  static func text(_ path: String) -> String {
    let bytes = try? FileHandle(forReadingAtPath: path)?.readToEnd()
    return String(decoding: bytes ?? Data(), as: UTF8.self)
  }
}
