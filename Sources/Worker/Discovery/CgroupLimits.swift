import IorunCore

/// What control groups leave of a machine to this process: the tightest limit on the way from its
/// group up to the root, version 1 or 2. Reads files only through `read`, so it can be tested.
struct CgroupLimits: Equatable {
  /// Thousandths of a core; `nil` for no limit.
  var milliCPUs: Int?
  /// Bytes; `nil` for no limit.
  var memory: Bytes?

  /// Reads the limits. `read` gives a file's text, or `nil` where there is none.
  init(read: (String) -> String?) {
    for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
      // hierarchy:controllers:path
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let path = String(fields[2])
      let controllers = fields[1].split(separator: ",")
      if fields[0] == "0" && controllers.isEmpty {
        for folder in Self.upwards(from: path, below: "/sys/fs/cgroup") {
          tighten(cpus: Self.quota(read("\(folder)/cpu.max")))
          tighten(memory: Self.bytes(read("\(folder)/memory.max")))
        }
      }
      if controllers.contains("cpu") {
        for folder in Self.upwards(from: path, below: "/sys/fs/cgroup/\(fields[1])") {
          let quota = read("\(folder)/cpu.cfs_quota_us")?.split(separator: "\n").first
          let period = read("\(folder)/cpu.cfs_period_us")?.split(separator: "\n").first
          if let quota, let period { tighten(cpus: Self.quota("\(quota) \(period)")) }
        }
      }
      if controllers.contains("memory") {
        for folder in Self.upwards(from: path, below: "/sys/fs/cgroup/memory") {
          tighten(memory: Self.bytes(read("\(folder)/memory.limit_in_bytes")))
        }
      }
    }
  }

  private mutating func tighten(cpus: Int?) {
    if let cpus { milliCPUs = min(milliCPUs ?? cpus, cpus) }
  }

  private mutating func tighten(memory bytes: Bytes?) {
    if let bytes { memory = min(memory ?? bytes, bytes) }
  }

  /// The folder of a group, of its parent, and so on to the root of the hierarchy. In a container
  /// the path may be the host's and lead nowhere; the root is read all the same.
  private static func upwards(from path: String, below root: String) -> [String] {
    var parts = path.split(separator: "/").filter { $0 != ".." }
    var folders: [String] = []
    while !parts.isEmpty {
      folders.append(root + "/" + parts.joined(separator: "/"))
      parts.removeLast()
    }
    return folders + [root]
  }

  /// `QUOTA PERIOD` in microseconds; `max` or a negative quota is no limit.
  private static func quota(_ text: String?) -> Int? {
    let fields = (text ?? "").split { $0 == " " || $0 == "\n" }
    guard fields.count == 2, let quota = Int(fields[0]), let period = Int(fields[1]), quota > 0,
      period > 0
    else { return nil }
    return max(1, Int(Double(quota) / Double(period) * 1000))
  }

  /// A number of bytes; `max`, and version 1's largest number, are no limit.
  private static func bytes(_ text: String?) -> Bytes? {
    guard let text, let number = UInt64(text.prefix { $0.isNumber }), number < 1 << 62 else {
      return nil
    }
    return Bytes(number)
  }
}
