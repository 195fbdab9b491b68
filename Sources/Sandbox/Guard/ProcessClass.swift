/// What a process is to the guard.
public enum ProcessClass: String, Sendable, Codable {
  /// Of a lease of this agent.
  case ours
  /// The machine's own.
  case host
  /// In a container, or what looks like one.
  case container
  /// A program that starts and keeps containers.
  case runtime
}

/// Tells processes apart.
public struct ProcessClassifier: Sendable {
  /// The namespaces of the machine itself, by kind.
  public var hostNamespaces: [String: String]
  /// The control group of all our sandboxes.
  public var groupName: String
  /// Whether the machine's own root is an overlay, as that of live systems is: then one says nothing.
  public var hasOverlayRoot: Bool

  /// Describes the machine. `groupName` as in ``SandboxHost/groupName``.
  public init(
    hostNamespaces: [String: String], groupName: String, hasOverlayRoot: Bool = false
  ) {
    self.hasOverlayRoot = hasOverlayRoot
    self.hostNamespaces = hostNamespaces
    self.groupName = groupName
  }

  static let runtimes: Set<String> = [
    "conmon", "runc", "crun", "bwrap", "runsc", "firecracker", "cloud-hypervisor", "nspawn",
    "systemd-nspawn", "lxc-start", "youki", "kata-runtime", "dockerd", "containerd", "crio",
  ]
  static let runtimePrefixes = ["containerd-shim", "qemu-system", "kata-"]
  static let groupMarks = [
    "/docker/", "/docker-", "/libpod", "/kubepods", "/lxc", "/machine.slice", "/containerd",
    "/crio-", "/buildkit",
  ]

  /// Says what a process is.
  ///
  /// - Parameter leases: the names of the sandboxes that the agent's own table knows. A path of
  ///   control groups alone proves nothing: root of the machine can make any.
  public func classify(_ facts: ProcessFacts, leases: Set<String>) -> ProcessClass {
    if let lease = ownGroup(facts.groups), leases.contains(lease) { return .ours }
    let name = facts.program.split(separator: "/").last.map(String.init) ?? ""
    if Self.runtimes.contains(name) || Self.runtimePrefixes.contains(where: name.hasPrefix) {
      return .runtime
    }
    if Self.groupMarks.contains(where: facts.groups.contains) { return .container }
    func differs(_ kind: String) -> Bool {
      guard let own = facts.namespaces[kind], let host = hostNamespaces[kind] else { return false }
      return own != host
    }
    // One namespace alone means nothing: services have mounts of their own, browsers process ids. A root
    // of layers is an image's, also where the container shares the machine's process ids.
    let isContainer =
      differs("mnt") && (differs("pid") || (facts.hasOverlayRoot && !hasOverlayRoot))
    return isContainer ? .container : .host
  }

  // The lease's part of ".../GROUP/LEASE/...".
  private func ownGroup(_ groups: String) -> String? {
    for line in groups.split(separator: "\n") {
      let parts = line.split(separator: "/")
      if let index = parts.firstIndex(of: Substring(groupName)), index + 1 < parts.count {
        return String(parts[index + 1])
      }
    }
    return nil
  }
}
