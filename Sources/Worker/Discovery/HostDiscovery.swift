import CShim
import Foundation
import Glibc
public import IorunCore

/// Finds out what this machine can offer: what is there, less what the kernel keeps from this
/// process (affinity, control groups) and what others use now.
public struct HostDiscovery: Sendable {
  private let root: String
  private let cpuCount: Int

  /// Looks at this machine.
  public init() { self.init(root: "", cpuCount: Int(iorun_cpu_count())) }

  /// Looks at the files below `root`, as if `cpuCount` CPUs could be used.
  init(root: String, cpuCount: Int) {
    self.root = root
    self.cpuCount = cpuCount
  }

  /// What the node says of itself. `name` is for people, `address` and `interface` are where other
  /// ranks reach it, free disk is measured where `stateFolder` is.
  public func facts(
    name: String, address: String, interface: String, stateFolder: String, gpus: [NodeFacts.GPU]
  ) -> NodeFacts {
    let limits = CgroupLimits(read: read)
    let system = Self.system()
    return NodeFacts(
      name: name, hostname: system.hostname, address: address, interface: interface,
      milliCPUs: min(cpuCount * 1000, limits.milliCPUs ?? .max), cpuModel: cpuModel,
      memory: min(availableMemory, limits.memory ?? availableMemory),
      disk: Self.freeDisk(at: stateFolder), gpus: gpus, system: system.description,
      version: IorunVersion.release)
  }

  /// The processor's name; Arm kernels do not tell one.
  private var cpuModel: String {
    for line in (read("/proc/cpuinfo") ?? "").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 1)
      guard fields.count == 2 else { continue }
      let key = fields[0].trimmingCharacters(in: .whitespaces)
      if key == "model name" || key == "Model" {
        return fields[1].trimmingCharacters(in: .whitespaces)
      }
    }
    return "unknown"
  }

  /// What can be had without swapping; where an old kernel does not tell, all there is.
  private var availableMemory: Bytes {
    var kibibytes: [Substring: UInt64] = [:]
    for line in (read("/proc/meminfo") ?? "").split(separator: "\n") {
      let fields = line.split { $0 == ":" || $0 == " " }
      if fields.count >= 2 { kibibytes[fields[0]] = UInt64(fields[1]) }
    }
    return .kibi(kibibytes["MemAvailable"] ?? kibibytes["MemTotal"] ?? 0)
  }

  /// The text of a file below `root`.
  private func read(_ path: String) -> String? { KernelFile.text(root + path) }

  /// What an unprivileged process can still write in the file system that holds `path`.
  static func freeDisk(at path: String) -> Bytes {
    var result = statvfs()
    guard statvfs(path, &result) == 0 else { return .zero }
    return Bytes(UInt64(result.f_bavail) * UInt64(result.f_frsize))
  }

  private static func system() -> (hostname: String, description: String) {
    var names = utsname()
    guard uname(&names) == 0 else { return ("unknown", "unknown") }
    func text<Field>(_ field: Field) -> String {
      withUnsafeBytes(of: field) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
    }
    return (
      text(names.nodename), "\(text(names.sysname)) \(text(names.release)) \(text(names.machine))"
    )
  }
}
