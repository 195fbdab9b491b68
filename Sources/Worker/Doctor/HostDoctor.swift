internal import Foundation
internal import Glibc
internal import IorunContract
internal import IorunCore
public import IorunSandbox

/// Looks at a machine that is, or is to be, a node. What keeps work apart is tried and not only looked for.
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

  /// Everything, in the order in which it is printed. Takes some seconds: canaries run.
  ///
  /// - Parameter roundTripMilliseconds: to the nearest relay; `nil` where that is not known.
  /// - Throws: `fileSystem` where the canaries have no place.
  public func examine(roundTripMilliseconds: Double?) async throws -> [HostCheck] {
    let found = try await HostCanaries(folder: existing(stateFolder)).run()
    let plane = await DataPlaneProbe().find().facts
    return try await Blocking.run { checks(found, plane, roundTripMilliseconds) }
  }

  /// What the findings mean.
  func checks(
    _ found: HostCanaries.Findings, _ plane: NodeFacts.DataPlane?, _ roundTripMilliseconds: Double?
  ) -> [HostCheck] {
    let isolation =
      found.isRoot
      ? isolationChecks(found.drivers, found.scratch).map { mended($0) } + faults(found.drivers)
        + [diskCipher(found)]
      : [notTried("sandbox"), notTried("encrypted scratch")]
    return profileChecks(roundTripMilliseconds) + isolation + [
      userNamespaces, controlGroups(found.drivers), tunnels(plane), egress(found), events(found),
      openFiles,
    ] + keys
  }

  /// What buyers are promised: the profile, and, where they were tried, a sandbox and encrypted scratch.
  /// Takes a moment.
  func examineOffer(
    roundTripMilliseconds: Double?, rates: LinkRates?, found: IsolationFindings?
  ) async throws -> [HostCheck] {
    try await Blocking.run {
      profileChecks(roundTripMilliseconds, rates: rates, withRates: true)
        + (found.map { isolationChecks($0.reports, $0.scratch).map { mended($0) } } ?? [])
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
    // A machine that is in no network has nobody to measure rates with.
    let names = ["memory", "disk", "ping"] + (withRates ? ["download", "upload"] : [])
    return profile.check(machine).filter { names.contains($0.name) }.map { HostCheck($0) }
  }

  private func isolationChecks(
    _ reports: [SandboxReport], _ scratch: ScratchKind?
  ) -> [HostCheck] {
    let machine = IorunSandbox.NodeMeasurements(
      drivers: reports.filter { $0.kind != .docker }.map { .init($0) }, scratch: scratch)
    return profile.check(machine).filter { ["sandbox", "encrypted scratch"].contains($0.name) }
      .map { HostCheck($0) }
  }

  /// With what can be done about it by itself; without a sandbox nothing of strangers' runs at all.
  private func mended(_ check: HostCheck) -> HostCheck {
    var check = check
    guard check.outcome != .passed else { return check }
    let programs: [(program: String, package: String)] =
      check.name == "sandbox"
      ? ["bwrap", "crun", "runc"].contains(where: isInstalled)
        ? [] : [("bwrap", "bubblewrap"), ("crun", "crun")]
      : [("gocryptfs", "gocryptfs"), ("fusermount3", "fuse3"), ("mkfs.ext4", "e2fsprogs")]
    let missing = programs.filter { !isInstalled($0.program) }.map(\.package)
    if check.name == "sandbox" { check.outcome = .failed }
    if !missing.isEmpty { check.fix = .install(missing) }
    return check
  }

  private func notTried(_ name: String) -> HostCheck {
    HostCheck(
      name, .failed, found: "not tried: only root makes sandboxes", wanted: "one that works here",
      remedy: "Run `iorun doctor`, and the node, as root: it takes only its owner's work otherwise")
  }

  /// What each driver lacks that does not pass.
  private func faults(_ reports: [SandboxReport]) -> [HostCheck] {
    reports.filter { !$0.isFitForStrangers }.map { report in
      let name = (report.program as NSString).lastPathComponent
      return HostCheck(
        "driver \(name)", .limited,
        found: NodeMeasurements.Driver(report).faults.joined(separator: ", "),
        wanted: "every check of its canary",
        remedy: "Update \(name), or use another one: nodes take the first that passes")
    }
  }

  private func diskCipher(_ found: HostCanaries.Findings) -> HostCheck {
    let wanted = "scratch by the kernel's own cipher"
    guard found.scratch != .dmCrypt else {
      return HostCheck("dm-crypt", .passed, found: "works", wanted: wanted)
    }
    let hasModule = access("/sys/module/dm_crypt", F_OK) == 0
    let isLoadable = isInstalled("modprobe")
    return HostCheck(
      "dm-crypt", .limited,
      found: found.scratchRefusals[.dmCrypt].map { String($0.prefix(300)) } ?? "not tried",
      wanted: wanted,
      remedy: "Install cryptsetup-bin, and load the kernel's module dm-crypt (modprobe dm-crypt)",
      fix: !isInstalled("cryptsetup")
        ? .install(["cryptsetup-bin"])
        : !hasModule && isLoadable ? .loadModule("dm-crypt") : nil)
  }

  private func egress(_ found: HostCanaries.Findings) -> HostCheck {
    let wanted = "jobs with network: internet"
    guard found.isRoot else {
      return HostCheck(
        "internet", .limited, found: "not tried: only root makes networks", wanted: wanted,
        remedy: "Run `iorun doctor` as root")
    }
    guard let fault = found.egressFault else {
      return HostCheck("internet", .passed, found: "led out of a sandbox", wanted: wanted)
    }
    let missing = [("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")]
      .filter { !isInstalled($0.0) }.map(\.1)
    return HostCheck(
      "internet", .limited, found: fault.message, wanted: wanted,
      remedy: fault.remedy ?? "Install iproute2 and nftables",
      fix: missing.isEmpty ? nil : .install(Set(missing).sorted()))
  }

  private func events(_ found: HostCanaries.Findings) -> HostCheck {
    HostCheck(
      "guard", found.eventsFault == nil ? .passed : .limited,
      found: found.eventsFault.map { "looks every 5 seconds only: \($0)" } ?? "hears of processes",
      wanted: "the kernel's word of each process that begins",
      remedy: found.eventsFault == nil
        ? nil : "Run the node as root outside of a container, with a kernel that has PROC_EVENTS")
  }

  private var memory: Bytes? {
    KernelFile.text("/proc/meminfo")?.split(separator: "\n")
      .first { $0.hasPrefix("MemTotal:") }?
      .split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { .kibi($0) }
  }

  private var userNamespaces: HostCheck {
    let key = "user.max_user_namespaces"
    let works = (number("/proc/sys/user/max_user_namespaces") ?? 0) > 0
    // Root needs no leave for them.
    let isAllowed = number("/proc/sys/kernel/unprivileged_userns_clone") != 0 || getuid() == 0
    return HostCheck(
      "user namespaces", works && isAllowed ? .passed : .failed,
      found: works && isAllowed ? "allowed" : "not allowed", wanted: "allowed",
      remedy: works && isAllowed
        ? nil
        : "Set kernel.unprivileged_userns_clone=1 and user.max_user_namespaces=15000 by sysctl",
      fix: works
        ? isAllowed ? nil : .setKernel("kernel.unprivileged_userns_clone", "1")
        : .setKernel(key, "15000"))
  }

  /// What the canaries were limited by, where one passed; else what the kernel has.
  private func controlGroups(_ reports: [SandboxReport]) -> HostCheck {
    let layout = ControlGroupLayout.current()
    let names = layout.version1.keys.sorted().filter { ["cpu", "memory", "pids"].contains($0) }
    let kinds = [
      layout.unified == nil ? nil : "version 2",
      names.isEmpty ? nil : "version 1: \(names.joined(separator: ", "))",
    ].compactMap { $0 }
    let used = reports.first { $0.isFitForStrangers }
    let missing = (used?.missingLimits ?? []).map(\.rawValue).sorted()
    let isEnough = used.map { $0.missingLimits.isEmpty } ?? false
    let lack =
      used == nil
      ? " (no canary was limited by them)"
      : missing.isEmpty ? "" : " (no limit of \(missing.joined(separator: ", ")))"
    return HostCheck(
      "control groups", kinds.isEmpty ? .failed : isEnough ? .passed : .limited,
      found: (kinds.isEmpty ? "none" : kinds.joined(separator: "; ")) + lack,
      wanted: "limits of cpu, memory and processes",
      remedy: isEnough
        ? nil
        : "Run the node as a service with Delegate=yes (`iorun join --service`), or boot with "
          + "systemd.unified_cgroup_hierarchy=1, or mount the missing controllers")
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

extension HostCheck {
  /// A line of the profile.
  fileprivate init(_ check: ProfileCheck) {
    let outcome: Outcome =
      switch check.outcome {
      case .passed: .passed
      case .failed: .limited
      case .unknown: .unknown
      }
    self.init(
      check.name, outcome, found: check.found, wanted: check.wanted, remedy: check.remedy)
  }
}
