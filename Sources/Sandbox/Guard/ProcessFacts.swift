internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// What /proc says of one process, read at once: the evidence of an incident.
public struct ProcessFacts: Hashable, Sendable, Codable {
  /// Its id on the host.
  public var pid: Int32
  /// Its parent's.
  public var parent: Int32
  /// The file of its program; empty where it is not known.
  public var program: String
  /// SHA-256 over its arguments: they may hold secrets, so only this is kept.
  public var argumentsHash: String
  /// Its control groups, as /proc/PID/cgroup has them.
  public var groups: String
  /// The namespaces that it is in, by kind, as the kernel numbers them.
  public var namespaces: [String: String]
  /// Whether its root is an overlay, as containers' roots are.
  public var hasOverlayRoot: Bool
  /// Those of the devices asked for that it has open.
  public var devices: Set<String>

  /// Describes a process, for tests.
  public init(
    pid: Int32, parent: Int32, program: String, argumentsHash: String = "", groups: String = "",
    namespaces: [String: String] = [:], hasOverlayRoot: Bool = false, devices: Set<String> = []
  ) {
    self.pid = pid
    self.parent = parent
    self.program = program
    self.argumentsHash = argumentsHash
    self.groups = groups
    self.namespaces = namespaces
    self.hasOverlayRoot = hasOverlayRoot
    self.devices = devices
  }

  static let kinds = ["pid", "mnt", "user", "net"]

  /// Reads them; `nil` where the process is gone. Blocks for a tenth of a millisecond.
  static func read(_ pid: Int32, devices: Set<String> = []) -> ProcessFacts? {
    let folder = "/proc/\(pid)"
    let groups = ControlGroup.text(folder + "/cgroup")
    let status = ControlGroup.text(folder + "/stat")
    // "PID (NAME) STATE PARENT ...", and the name may hold anything.
    guard !groups.isEmpty, let end = status.lastIndex(of: ")") else { return nil }
    let fields = status[end...].split(separator: " ")
    guard fields.count > 2, let parent = Int32(fields[2]) else { return nil }
    var namespaces: [String: String] = [:]
    for kind in kinds { namespaces[kind] = link(folder + "/ns/" + kind) }
    let root = ControlGroup.text(folder + "/mountinfo").split(separator: "\n").last { line in
      line.split(separator: " ").dropFirst(4).first == "/"
    }
    return ProcessFacts(
      pid: pid, parent: parent, program: link(folder + "/exe") ?? "",
      argumentsHash: SHA256.digest(of: Array(ControlGroup.text(folder + "/cmdline").utf8))
        .description,
      groups: groups, namespaces: namespaces,
      hasOverlayRoot: root?.contains(" - overlay ") == true,
      devices: devices.isEmpty ? [] : openDevices(folder, among: devices))
  }

  private static func openDevices(_ folder: String, among devices: Set<String>) -> Set<String> {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/fd")) ?? []
    return Set(names.compactMap { link(folder + "/fd/" + $0) }).intersection(devices)
  }

  private static func link(_ path: String) -> String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: path)
  }
}
