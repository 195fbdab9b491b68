import Foundation

/// What the leases of one agent have on this machine: after the agent's death all of it is a leftover.
struct SandboxTraces: CustomStringConvertible {
  /// One process, told apart from a later one of the same number.
  struct Process: Hashable {
    var pid: Int32
    var startedAt: String
  }

  var mounts: Set<String>
  var loops: Set<String>
  var groups: Set<String>
  var folders: Set<String>
  var processes: Set<Process>

  /// Looks for them: a node's folder in its agent's state, and a word of the jobs' command lines.
  init(node: String, marker: String, jobs: [String]) {
    mounts = Set(Self.mounts(below: node))
    let blocks = (try? FileManager.default.contentsOfDirectory(atPath: "/sys/block")) ?? []
    loops = Set(
      blocks.filter {
        ProcessScan.text("/sys/block/\($0)/loop/backing_file").hasPrefix(node + "/")
      })
    groups = Self.groups(of: jobs)
    folders = Set(
      ["leases", "scratch", "networks"].flatMap { name in
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(node)/\(name)")) ?? [])
          .map { "\(name)/\($0)" }
      })
    // gocryptfs holds the key; it has the folder in its arguments.
    let found = ProcessScan.all(marker) + ProcessScan.all(node + "/scratch")
    processes = Set(
      found.compactMap { process in
        let fields = ProcessScan.text("/proc/\(process.pid)/stat").split(separator: ")").last?
          .split(separator: " ")
        return fields.map { Process(pid: process.pid, startedAt: $0.count > 19 ? "\($0[19])" : "") }
      })
  }

  var isEmpty: Bool {
    mounts.isEmpty && loops.isEmpty && groups.isEmpty && folders.isEmpty && processes.isEmpty
  }

  /// What is in both.
  func intersection(_ other: SandboxTraces) -> SandboxTraces {
    var both = self
    both.mounts.formIntersection(other.mounts)
    both.groups.formIntersection(other.groups)
    both.folders.formIntersection(other.folders)
    both.processes.formIntersection(other.processes)
    // Each agent mounts its folder of scratch anew.
    both.mounts = both.mounts.filter { !Self.isScratchFolder($0) }
    // A device's number is given out again: it is left only where a mount or folder is, too.
    both.loops = []
    return both
  }

  var description: String {
    let running = processes.map { process in
      let line = ProcessScan.text("/proc/\(process.pid)/cmdline")
      return "\(process.pid) \(line.replacingOccurrences(of: "\0", with: " ").prefix(120))"
    }
    return "mounts \(mounts) loops \(loops) groups \(groups) folders \(folders) "
      + "processes \(running)"
  }

  /// The mount points below a folder.
  static func mounts(below folder: String) -> [String] {
    ProcessScan.text("/proc/self/mountinfo").split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      return fields.count > 4 && fields[4].hasPrefix(folder + "/") ? String(fields[4]) : nil
    }
  }

  /// The mount points below a folder that leases have: an agent at work has others, its shared folder of
  /// scratch, its own, and the scratch that it made ahead, in which no job's folder is yet.
  static func leaseMounts(below folder: String) -> [String] {
    mounts(below: folder).filter { mount in
      // The agent's own scratch goes with the agent.
      if isScratchFolder(mount) || mount.contains("/scratch/agent-") { return false }
      guard let range = mount.range(of: "/scratch/ready-") else { return true }
      let name = mount[range.upperBound...].prefix { $0 != "/" }
      let scratch = mount[..<range.upperBound] + name
      return ["", "/mount"].contains {
        FileManager.default.fileExists(atPath: scratch + $0 + "/job")
      }
    }
  }

  private static func isScratchFolder(_ mount: String) -> Bool { mount.hasSuffix("/scratch") }

  /// The control groups that agents of this machine keep for all their sandboxes.
  static func nodeGroups() -> Set<String> {
    let found = FileManager.default.enumerator(atPath: "/sys/fs/cgroup")
    var groups: Set<String> = []
    while let name = found?.nextObject() as? String {
      let isNodes = name.split(separator: "/").last?.hasPrefix("iorun-") == true
      if isNodes { groups.insert(name) }
      if isNodes || (found?.level ?? 0) > 6 { found?.skipDescendants() }
    }
    return groups
  }

  /// The control groups of jobs' sandboxes.
  private static func groups(of jobs: [String]) -> Set<String> {
    let found = FileManager.default.enumerator(atPath: "/sys/fs/cgroup")
    var groups: Set<String> = []
    while let name = found?.nextObject() as? String {
      if (found?.level ?? 0) > 6 { found?.skipDescendants() }
      if jobs.contains(where: { name.contains($0) }) { groups.insert(name) }
    }
    return groups
  }
}
