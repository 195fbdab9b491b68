import IorunCore

/// How much of a machine's memory is in use: of the machine, or of the control group that bounds this
/// node, whichever is nearer its end. Reads files only through `read`, so it can be tested.
struct MemoryReading: Hashable, Sendable {
  /// Bytes that cannot be had any more without taking them from somebody.
  var used: Int64
  /// Bytes that there are.
  var total: Int64

  /// The share in use, from 0 to 1.
  var share: Double { total > 0 ? Double(used) / Double(total) : 0 }

  /// A reading.
  init(used: Int64, total: Int64) {
    self.used = used
    self.total = total
  }

  /// Reads the machine's and the control group's figures; `nil` where there are none. `read` gives a
  /// file's text, or `nil` where there is none.
  init?(read: (String) -> String?) {
    let readings = [Self.machine(read), Self.group(read), Self.oldGroup(read)].compactMap { $0 }
    guard let tightest = readings.max(by: { $0.share < $1.share }) else { return nil }
    self = tightest
  }

  private static func machine(_ read: (String) -> String?) -> MemoryReading? {
    let fields = table(read("/proc/meminfo") ?? "")
    guard let total = fields["MemTotal:"], let available = fields["MemAvailable:"] else {
      return nil
    }
    return MemoryReading(used: (total - available) * 1024, total: total * 1024)
  }

  /// Version 2. The group's own files stand at the root where it is a container's.
  private static func group(_ read: (String) -> String?) -> MemoryReading? {
    let own =
      (read("/proc/self/cgroup") ?? "").split(separator: "\n")
      .first { $0.hasPrefix("0::") }.map { String($0.dropFirst(3)) } ?? "/"
    for folder in ["/sys/fs/cgroup\(own)", "/sys/fs/cgroup"] where !own.contains("..") {
      guard let total = read("\(folder)/memory.max").flatMap(number),
        let current = read("\(folder)/memory.current").flatMap(number)
      else { continue }
      // Pages of files that nobody uses go before anybody is ended.
      let cache = table(read("\(folder)/memory.stat") ?? "")["inactive_file"] ?? 0
      return MemoryReading(used: max(0, current - cache), total: total)
    }
    return nil
  }

  /// Version 1, as a container sees it. One without a limit says an immense number.
  private static func oldGroup(_ read: (String) -> String?) -> MemoryReading? {
    let folder = "/sys/fs/cgroup/memory"
    guard let total = read("\(folder)/memory.limit_in_bytes").flatMap(number),
      let current = read("\(folder)/memory.usage_in_bytes").flatMap(number)
    else { return nil }
    let cache = table(read("\(folder)/memory.stat") ?? "")["total_inactive_file"] ?? 0
    return MemoryReading(used: max(0, current - cache), total: total)
  }

  private static func number(_ text: String) -> Int64? {
    text.split(whereSeparator: \.isWhitespace).first.flatMap { Int64($0) }
  }

  /// Lines of a name and a number.
  private static func table(_ text: String) -> [Substring: Int64] {
    var fields: [Substring: Int64] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      if words.count >= 2, let value = Int64(words[1]) { fields[words[0]] = value }
    }
    return fields
  }

  /// Bytes that a process has for itself, without what it shares, such as the object store; `nil` where
  /// it is gone.
  static func ofProcess(_ pid: Int32, pageSize: Int64, read: (String) -> String?) -> Int64? {
    // In pages: size, resident, shared.
    let words = (read("/proc/\(pid)/statm") ?? "").split(whereSeparator: \.isWhitespace)
    guard words.count >= 3, let resident = Int64(words[1]), let shared = Int64(words[2]) else {
      return nil
    }
    return max(0, resident - shared) * pageSize
  }
}
