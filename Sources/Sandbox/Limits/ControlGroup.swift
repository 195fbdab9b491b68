internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// The control groups of one sandbox, in every hierarchy that the host has: they limit it, count what
/// it used, and hold everything that it ever started, so that nothing of it can be left.
///
/// Every call may block for some milliseconds: call it on a thread that may.
public final class ControlGroup: Sendable {
  /// What of the limits this host cannot enforce.
  public let missing: Set<SandboxLimit>
  /// The folder in each hierarchy; the key of version 2 is `unified`.
  let folders: [String: String]

  /// The controllers that version 2 has here; the others' files are those of version 1.
  private let version2: Set<String>
  /// Where it is listed, in ``ownNames(parent:)``.
  private let parent: String
  private let name: String
  private let outOfMemory: OutOfMemoryCounter?

  /// Makes the groups `parent/name` below this process's own and sets the limits.
  ///
  /// - Parameters:
  ///   - parent: the group of all sandboxes of an agent, for example `iorun`.
  ///   - name: the sandbox's own.
  ///   - extraProcesses: how many the sandbox's driver needs itself, beside the program.
  /// - Throws: `sandboxFailed` where a limit that the host has cannot be set.
  public init(
    _ layout: ControlGroupLayout, parent: String, name: String, limits: SandboxLimits,
    extraProcesses: Int = 0
  ) throws {
    let folders = Self.makeFolders(layout, parent: parent, name: name)
    self.folders = folders
    self.parent = parent
    self.name = name
    version2 = Set(folders["unified"].map { Self.words($0 + "/cgroup.controllers") } ?? [])
    var missing = Set(SandboxLimit.allCases)
    do {
      for setting in ControlGroupSetting.all(limits, extraProcesses: extraProcesses) {
        let isVersion2 = version2.contains(setting.controller)
        guard let folder = folders[isVersion2 ? "unified" : setting.controller] else { continue }
        for file in isVersion2 ? setting.version2 : setting.version1 {
          let path = folder + "/" + file.name
          if file.isOptional, access(path, F_OK) != 0 { continue }
          try Self.write(file.value, to: path)
        }
        missing.remove(setting.limit)
      }
    } catch {
      for folder in Set(folders.values) { rmdir(folder) }
      throw error
    }
    self.missing = missing
    outOfMemory =
      version2.contains("memory")
      ? nil : folders["memory"].flatMap { OutOfMemoryCounter(folder: $0) }
    Self.own.withLock { _ = $0[parent, default: []].insert(name) }
  }

  /// The groups that this process has made and not removed, by their parents.
  private static let own = Mutex<[String: Set<String>]>([:])

  /// The names of the groups below `parent` that this process made and has not removed: its sandboxes
  /// that run now.
  public static func ownNames(parent: String) -> Set<String> {
    own.withLock { $0[parent] ?? [] }
  }

  private static func makeFolders(
    _ layout: ControlGroupLayout, parent: String, name: String
  ) -> [String: String] {
    var folders: [String: String] = [:]
    // All of them, not only those that limit: an OCI runtime makes a group in each.
    var hierarchies = layout.version1
    hierarchies["unified"] = layout.unified
    for (controller, own) in hierarchies {
      let above = own + "/" + parent
      let folder = above + "/" + name
      mkdir(above, 0o755)
      if controller == "unified" {
        // What is not delegated to this process is refused here, and then counted as missing.
        for folder in [own, above] {
          for name in ["memory", "pids", "cpu"] {
            try? write("+" + name, to: folder + "/cgroup.subtree_control")
          }
        }
      }
      if mkdir(folder, 0o755) == 0 || errno == EEXIST { folders[controller] = folder }
      if controller == "cpuset" {
        // A new group of version 1 has no processors until it is given some, and can hold nothing.
        for file in ["/cpuset.cpus", "/cpuset.mems"] {
          let value = text(own + file).trimmingCharacters(in: .whitespacesAndNewlines)
          for folder in [above, folder] { try? write(value, to: folder + file) }
        }
      }
    }
    return folders
  }

  /// The open files to which a process writes `0` to join; the caller closes them.
  func openMembership() throws -> [Int32] {
    var descriptors: [Int32] = []
    for folder in Set(folders.values).sorted() {
      let path = Self.enterable(folder) + "/cgroup.procs"
      let descriptor = open(path, O_WRONLY | O_CLOEXEC)
      guard descriptor >= 0 else {
        let number = errno
        for descriptor in descriptors { close(descriptor) }
        throw IorunError.system("cannot open", path, errno: number)
      }
      descriptors.append(descriptor)
    }
    return descriptors
  }

  // Where an OCI runtime has given the controllers of version 2 to its group below, processes that come
  // later need one of their own beside it.
  private static func enterable(_ folder: String) -> String {
    guard !words(folder + "/cgroup.subtree_control").isEmpty else { return folder }
    let leaf = folder + "/" + OCIControlGroups.leaf
    mkdir(leaf, 0o755)
    return leaf
  }

  /// What has been used until now. Read it before ``remove()``.
  public func usage() -> SandboxUsage {
    var usage = SandboxUsage()
    if version2.contains("memory"), let folder = folders["unified"] {
      usage.peakMemory = Self.number(folder + "/memory.peak").map { Bytes($0) }
      usage.outOfMemoryKills = Int(Self.table(folder + "/memory.events")["oom_kill"] ?? 0)
    } else if let folder = folders["memory"] {
      usage.peakMemory = Self.number(folder + "/memory.max_usage_in_bytes").map { Bytes($0) }
      // Version 1 counts in the group of whoever was killed, which may be an OCI runtime's below, and
      // may be gone by now: then only that memory ran out is known.
      let kills = Self.sum("oom_kill", of: "memory.oom_control", in: folder)
      usage.outOfMemoryKills = max(kills, outOfMemory?.count() ?? 0)
    }
    if let folder = folders[version2.contains("pids") ? "unified" : "pids"] {
      usage.refusedProcesses = Self.sum("max", of: "pids.events", in: folder)
    }
    if let folder = folders[version2.contains("cpu") ? "unified" : "cpu"] {
      let table = Self.table(folder + "/cpu.stat")
      let microseconds = table["throttled_usec"] ?? (table["throttled_time"] ?? 0) / 1000
      usage.throttled = .microseconds(Int64(clamping: microseconds))
    }
    return usage
  }

  /// The processes in the group and in those below it.
  func members() -> Set<pid_t> {
    var members: Set<pid_t> = []
    for folder in Set(folders.values) { Self.collect(folder, into: &members) }
    return members
  }

  /// Ends every process in it: by `cgroup.kill` where the kernel has it (5.14), else frozen and one
  /// by one, so that none can fork away. Returns once none is left.
  ///
  /// - Throws: `sandboxFailed` where some are left after `deadline`, which only a process that waits
  ///   in the kernel can do.
  public func kill(deadline: Duration = .seconds(10)) throws {
    let end = ContinuousClock.now + deadline
    let unified = folders["unified"]
    let freezer = folders["freezer"]
    while true {
      let members = members()
      if members.isEmpty { return }
      guard ContinuousClock.now < end else {
        throw IorunError(
          .sandboxFailed, "\(members.count) processes of a sandbox do not end: \(members.sorted())",
          remedy: "They wait in the kernel: look at their state with ps, and restart the machine")
      }
      let killed = unified.map { (try? Self.write("1", to: $0 + "/cgroup.kill")) != nil } ?? false
      if !killed {
        if let freezer { try? Self.write("FROZEN", to: freezer + "/freezer.state") }
        for pid in members { Foundation.kill(pid, SIGKILL) }
        if let freezer { try? Self.write("THAWED", to: freezer + "/freezer.state") }
      }
      usleep(2000)
    }
  }

  /// Stops every process in it, or lets them go on.
  public func freeze(_ isFrozen: Bool) throws {
    if let folder = folders["unified"] {
      try Self.write(isFrozen ? "1" : "0", to: folder + "/cgroup.freeze")
    } else if let folder = folders["freezer"] {
      try Self.write(isFrozen ? "FROZEN" : "THAWED", to: folder + "/freezer.state")
    }
  }

  /// Removes the groups; no process may be left in them.
  public func remove() {
    for folder in Set(folders.values) { Self.removeTree(folder) }
    Self.own.withLock { _ = $0[parent]?.remove(name) }
  }

  /// Ends and removes every sandbox's groups below `parent`: what an agent that died left behind.
  /// Returns their names.
  public static func reapLeftovers(
    _ layout: ControlGroupLayout, parent: String, deadline: Duration = .seconds(10)
  ) throws -> Set<String> {
    var names: Set<String> = []
    for own in Set(layout.version1.values).union(layout.unified.map { [$0] } ?? []) {
      names.formUnion(subfolders(own + "/" + parent))
    }
    for name in names {
      let group = ControlGroup(leftover: name, layout, parent: parent)
      try group.kill(deadline: deadline)
      group.remove()
    }
    return names
  }

  /// Removes the group of all sandboxes; does nothing while one is left.
  public static func removeParent(_ layout: ControlGroupLayout, parent: String) {
    for own in Set(layout.version1.values).union(layout.unified.map { [$0] } ?? []) {
      rmdir(own + "/" + parent)
    }
  }

  private init(leftover name: String, _ layout: ControlGroupLayout, parent: String) {
    self.parent = parent
    self.name = name
    var folders = layout.version1
    folders["unified"] = layout.unified
    self.folders = folders.mapValues { $0 + "/" + parent + "/" + name }
      .filter { access($0.value, F_OK) == 0 }
    version2 = []
    missing = []
    outOfMemory = nil
  }
}
