internal import CSandbox
internal import Foundation
internal import IorunCore

/// In version 2 a group other than the root gives its controllers to groups below it only while no process
/// is in itself (cgroups(7), "no internal processes"): an agent that stayed where it was started could
/// limit nothing that it starts.
extension ControlGroupLayout {
  /// The agent's own group below the one that was delegated to it; the unit's `DelegateSubgroup`.
  public static let agentLeaf = "agent"
  /// Where sandboxes are if the agent shares its group with somebody else's processes.
  static let sharedName = "iorun"

  /// Makes room for limited groups in version 2 and says where: below the group in which this process
  /// was started, once it has moved into ``agentLeaf`` there itself; where others are in that group, such
  /// as the shell of whoever started it, below one of its own at the top. To be called once, before the
  /// first group is made. Changes nothing where version 2 has none of the controllers, or the process is
  /// in the root group, which needs no room, or the host does not let it: what is missing then,
  /// ``ControlGroup/missing`` says.
  ///
  /// - Throws: `sandboxFailed` where processes that keep coming leave no room.
  public func settled() throws -> ControlGroupLayout {
    try settled(agent: getpid(), controllers: ["memory", "pids", "cpu"])
  }

  /// The same for the process `agent`, which wants to limit by `controllers`.
  func settled(agent: pid_t, controllers: Set<String>) throws -> ControlGroupLayout {
    guard let own = unified, let top = unifiedMount else { return self }
    let wanted = controllers.intersection(ControlGroup.words(top + "/cgroup.controllers"))
    guard !wanted.isEmpty, !Self.isRoot(own) else { return self }
    func has(_ folder: String) -> Bool {
      wanted.isSubset(of: ControlGroup.words(folder + "/cgroup.controllers"))
    }
    let above = (own as NSString).deletingLastPathComponent
    if (own as NSString).lastPathComponent == Self.agentLeaf, above.hasPrefix(top + "/"),
      has(above), Self.processes(in: above).isEmpty
    {
      return moved(to: above)
    }
    if has(own) {
      let processes = Self.processes(in: own)
      if processes.isSubset(of: [agent]) || Self.isDelegated(own) {
        try Self.empty(own, into: own + "/" + Self.agentLeaf)
        return self
      }
    }
    guard Self.isRoot(top) else { return self }
    for controller in wanted {
      try? ControlGroup.write("+" + controller, to: top + "/cgroup.subtree_control")
    }
    let shared = top + "/" + Self.sharedName
    guard mkdir(shared, 0o755) == 0 || errno == EEXIST else { return self }
    return moved(to: shared)
  }

  private func moved(to folder: String) -> ControlGroupLayout {
    var layout = self
    layout.unified = folder
    return layout
  }

  // The kernel's root group has no type.
  private static func isRoot(_ folder: String) -> Bool {
    access(folder + "/cgroup.type", F_OK) != 0
  }

  private static func processes(in folder: String) -> Set<pid_t> {
    Set(ControlGroup.words(folder + "/cgroup.procs").compactMap { pid_t($0) })
  }

  // systemd marks what it hands over (`Delegate=yes`): all processes there are the unit's.
  private static func isDelegated(_ folder: String) -> Bool {
    iorun_group_is_delegated(folder) != 0
  }

  private static func empty(_ folder: String, into leaf: String) throws {
    guard mkdir(leaf, 0o755) == 0 || errno == EEXIST else {
      throw IorunError.system("cannot make", leaf, errno: errno)
    }
    // A process may be forking while it is moved.
    for _ in 0..<100 {
      let processes = processes(in: folder)
      if processes.isEmpty { return }
      for process in processes {
        // One that has ended is no longer in the way.
        try? ControlGroup.write(String(process), to: leaf + "/cgroup.procs")
      }
    }
    throw IorunError(
      .sandboxFailed, "the processes in the control group \(folder) cannot be moved to \(leaf)",
      remedy: "Run the node as root, or in a unit with Delegate=yes")
  }
}
