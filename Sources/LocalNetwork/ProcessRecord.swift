internal import Foundation
internal import IorunCore

/// What `iorun up` remembers of a process that it started, so that `iorun down` stops exactly that
/// one: a process id alone may have been given to another since.
struct ProcessRecord: Codable, Sendable, Hashable {
  var name: String
  var pid: Int32
  /// When the process started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
  var startTicks: UInt64

  /// Describes a process that runs; `nil` where it does not.
  init?(name: String, pid: Int32) {
    guard let ticks = Self.startTicks(of: pid) else { return nil }
    self.name = name
    self.pid = pid
    startTicks = ticks
  }

  /// True while that very process runs.
  var isRunning: Bool { Self.startTicks(of: pid) == startTicks }

  /// When a process started; `nil` where there is none, or only its exit status is left.
  private static func startTicks(of pid: Int32) -> UInt64? {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let end = stat.lastIndex(of: ")")
    else { return nil }
    // The name before the last parenthesis may hold spaces; fields count from the state on.
    let fields = stat[stat.index(after: end)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z" else { return nil }
    return UInt64(fields[19])
  }

  func save(in folder: String) throws {
    let data = try JSONEncoder().encode(self)
    try data.write(to: URL(fileURLWithPath: folder + "/\(name).json"), options: .atomic)
  }

  static func load(_ name: String, in folder: String) -> ProcessRecord? {
    guard let data = FileManager.default.contents(atPath: folder + "/\(name).json") else {
      return nil
    }
    return try? JSONDecoder().decode(ProcessRecord.self, from: data)
  }

  static func all(in folder: String) -> [ProcessRecord] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return files.filter { $0.hasSuffix(".json") }.sorted()
      .compactMap { load(String($0.dropLast(5)), in: folder) }
  }

  func remove(from folder: String) {
    // A record that cannot be removed names a process that no longer runs: harmless.
    try? FileManager.default.removeItem(atPath: folder + "/\(name).json")
  }
}
