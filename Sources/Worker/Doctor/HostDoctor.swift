internal import Foundation
internal import Glibc
internal import IorunContract
internal import IorunCore
public import IorunSandbox

/// Looks at a machine that is, or is to be, a node.
public struct HostDoctor: Sendable {
  private let stateFolder: String
  private let profile: NodeProfile
  private let isInstalled: @Sendable (String) -> Bool

  /// - Parameters:
  ///   - stateFolder: the node's state folder, or the folder in which it would be.
  ///   - profile: what a machine must have.
  ///   - isInstalled: whether a program is there.
  public init(
    stateFolder: String, profile: NodeProfile = .standard,
    isInstalled: @escaping @Sendable (String) -> Bool
  ) {
    self.stateFolder = stateFolder
    self.profile = profile
    self.isInstalled = isInstalled
  }

  /// Everything, in the order in which it is printed. Takes a second.
  ///
  /// - Parameter roundTripMilliseconds: to the nearest relay; `nil` where that is not known.
  public func examine(roundTripMilliseconds: Double?) async throws -> [HostCheck] {
    let plane = await DataPlaneProbe().find().facts
    return try await Blocking.run {
      profileChecks(roundTripMilliseconds) + [
        sandboxPrograms, scratchPrograms, userNamespaces, controlGroups, tunnels(plane), openFiles,
      ] + keys
    }
  }

  /// What buyers are promised: the profile, a sandbox, encrypted scratch. Takes a moment.
  public func examineOffer(
    roundTripMilliseconds: Double?, rates: LinkRates?
  ) async throws -> [HostCheck] {
    try await Blocking.run {
      profileChecks(roundTripMilliseconds, rates: rates, withRates: true)
        + [sandboxPrograms, scratchPrograms]
    }
  }

  private func profileChecks(
    _ roundTripMilliseconds: Double?, rates: LinkRates? = nil, withRates: Bool = false
  ) -> [HostCheck] {
    let machine = IorunSandbox.NodeMeasurements(
      memory: memory, disk: HostDiscovery.freeDisk(at: existing(stateFolder)),
      downloadBitsPerSecond: rates?.downloadBitsPerSecond,
      uploadBitsPerSecond: rates?.uploadBitsPerSecond,
      roundTrip: roundTripMilliseconds.map { .microseconds(Int64($0 * 1000)) })
    // A machine that is in no network has nobody to measure rates with; the sandbox is the agent's.
    let names = ["memory", "disk", "ping"] + (withRates ? ["download", "upload"] : [])
    return profile.check(machine).filter { names.contains($0.name) }.map {
      HostCheck(
        $0.name, .init($0.outcome), found: $0.found, wanted: $0.wanted, remedy: $0.remedy)
    }
  }

  private var memory: Bytes? {
    KernelFile.text("/proc/meminfo")?.split(separator: "\n")
      .first { $0.hasPrefix("MemTotal:") }?
      .split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { .kibi($0) }
  }

  private var sandboxPrograms: HostCheck {
    let found = ["crun", "runc", "bwrap"].filter(isInstalled)
    return HostCheck(
      "sandbox", found.isEmpty ? .failed : .passed,
      found: found.isEmpty ? "none" : found.joined(separator: ", "), wanted: "crun, runc or bwrap",
      remedy: found.isEmpty
        ? "Install bubblewrap and crun: without one, strangers' work is not taken" : nil,
      fix: found.isEmpty ? .install(["bubblewrap", "crun"]) : nil)
  }

  private var scratchPrograms: HostCheck {
    let missing = [
      ("gocryptfs", "gocryptfs"), ("fusermount3", "fuse3"), ("mkfs.ext4", "e2fsprogs"),
    ]
    .filter { !isInstalled($0.0) }
    return HostCheck(
      "encrypted scratch", missing.isEmpty ? .passed : .limited,
      found: missing.isEmpty
        ? "on disk" : "in memory only: no \(missing.map(\.0).joined(separator: ", "))",
      wanted: "on disk",
      remedy: missing.isEmpty ? nil : "Install \(missing.map(\.1).joined(separator: ", "))",
      fix: missing.isEmpty ? nil : .install(missing.map(\.1)))
  }

  private var userNamespaces: HostCheck {
    let limit = number("/proc/sys/user/max_user_namespaces")
    let isAllowed = number("/proc/sys/kernel/unprivileged_userns_clone") ?? 1
    let works = (limit ?? 0) > 0 && (isAllowed > 0 || getuid() == 0)
    return HostCheck(
      "user namespaces", works ? .passed : .failed, found: works ? "allowed" : "not allowed",
      wanted: "allowed",
      remedy: works
        ? nil
        : "Set kernel.unprivileged_userns_clone=1 and user.max_user_namespaces=15000 by sysctl")
  }

  private var controlGroups: HostCheck {
    let layout = ControlGroupLayout.current()
    let names = layout.version1.keys.sorted().filter { ["cpu", "memory", "pids"].contains($0) }
    let kinds = [
      layout.unified == nil ? nil : "version 2",
      names.isEmpty ? nil : "version 1: \(names.joined(separator: ", "))",
    ].compactMap { $0 }
    let isEnough = layout.unified != nil || names.count == 3
    return HostCheck(
      "control groups", kinds.isEmpty ? .failed : isEnough ? .passed : .limited,
      found: kinds.isEmpty ? "none" : kinds.joined(separator: "; "), wanted: "cpu, memory, pids",
      remedy: isEnough
        ? nil : "Boot with systemd.unified_cgroup_hierarchy=1, or mount the missing controllers")
  }

  private func tunnels(_ plane: NodeFacts.DataPlane?) -> HostCheck {
    guard let backend = plane?.backend else {
      return HostCheck(
        "tunnels", .failed, found: plane?.reason ?? "none", wanted: "networks for gangs",
        remedy: "Run the node as root, with /dev/net/tun and nftables",
        fix: isInstalled("nft") ? nil : .install(["nftables"]))
    }
    return HostCheck("tunnels", .passed, found: backend, wanted: "networks for gangs")
  }

  private var openFiles: HostCheck {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return HostCheck("open files", .unknown, found: "not known", wanted: "65536")
    }
    let isEnough = limit.rlim_max >= 65_536
    return HostCheck(
      "open files", isEnough ? .passed : .limited, found: "\(limit.rlim_max)", wanted: "65536",
      remedy: isEnough ? nil : "Raise the hard limit: LimitNOFILE=65536, or ulimit -Hn")
  }

  /// Keys that others can read are refused at the next start.
  private var keys: [HostCheck] {
    ["node.key", "membership.json", "owner.json"].compactMap { name in
      let path = stateFolder + "/" + name
      var status = stat()
      guard lstat(path, &status) == 0 else { return nil }
      let isPrivate = status.st_mode & 0o077 == 0 && status.st_uid == getuid()
      return HostCheck(
        name, isPrivate ? .passed : .failed,
        found: isPrivate ? "its owner's alone" : "others may read or write it",
        wanted: "its owner's alone", remedy: isPrivate ? nil : "chmod 600 \(path)",
        fix: isPrivate ? nil : .makePrivate(path))
    }
  }

  private func number(_ path: String) -> Int? {
    KernelFile.text(path).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  /// The nearest folder above that is there.
  private func existing(_ folder: String) -> String {
    var folder = folder
    while folder.count > 1, access(folder, F_OK) != 0 {
      folder = (folder as NSString).deletingLastPathComponent
    }
    return folder
  }
}

extension HostCheck.Outcome {
  fileprivate init(_ outcome: ProfileCheck.Outcome) {
    self =
      switch outcome {
      case .passed: .passed
      case .failed: .limited
      case .unknown: .unknown
      }
  }
}
