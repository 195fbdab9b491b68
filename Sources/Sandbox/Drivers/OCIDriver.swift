internal import CSandbox
internal import Foundation
internal import IorunCore

/// Runs programs by an OCI runtime: crun, runc, or runsc (gVisor), with a configuration that the agent
/// writes. The runtime gets the sandbox's own control groups as if they were all there are, so that it
/// works in the same way on hosts of version 1, 2 and both, and can limit nothing else.
public struct OCIDriver: SandboxDriver {
  /// The file that is run.
  public let program: String
  /// Where the host's CDI specifications are.
  var deviceFolders = CDIRegistry.folders
  private let host: SandboxHost
  /// Whether the runtime can leave the control group of an ended program to be read.
  private let keeps: Bool

  /// Makes a driver with the runtime at `program`.
  public init(program: String, host: SandboxHost) {
    self.program = program
    self.host = host
    keeps = Self.keeps(program)
  }

  /// See ``SandboxDriver/kind``.
  public var kind: SandboxKind { .oci }

  /// See ``SandboxDriver/launch(_:streams:)``.
  public func launch(_ spec: SandboxSpec, streams: SandboxStreams) throws -> SandboxProcess {
    try spec.validate()
    guard let architecture = SeccompProfile.Architecture.current else {
      throw IorunError(.sandboxUnavailable, "there is no filter of system calls for this processor")
    }
    guard host.isRoot else {
      throw IorunError(
        .sandboxUnavailable, "an OCI runtime is used by root only",
        remedy: "Run the node as root, or install bubblewrap")
    }
    guard spec.network != .host else {
      throw IorunError(.sandboxUnavailable, "an OCI runtime gives no program the host's network")
    }
    try SandboxFolder.addMountPoints(root: spec.root)
    var stage = try SandboxStage(spec, host: host)
    let bundle = host.stateFolder + "/bundle-" + spec.name
    let runtimeState = host.stateFolder + "/" + (program as NSString).lastPathComponent
    var configuration = OCIConfiguration(
      spec, stage: stage, groupsPath: "/box",
      devices: try spec.devices.map { try OCIConfiguration.Device($0) }, architecture: architecture)
    if !spec.describedDevices.isEmpty {
      let registry = CDIRegistry(folders: deviceFolders)
      for device in spec.describedDevices {
        for edits in try registry.edits(for: device) { try configuration.apply(edits) }
      }
    }
    // Only root may read the bundle: it has the environment.
    try SandboxFolder.make(bundle, mode: 0o700)
    try SandboxFolder.make(runtimeState, mode: 0o700)
    let file = try OpenFile(bundle + "/config.json", O_CREAT | O_TRUNC | O_WRONLY, mode: 0o600)
    try file.write([UInt8](try JSONEncoder().encode(configuration)))
    let group = try ControlGroup(
      host.groups, parent: host.groupName, name: spec.name, limits: spec.limits,
      // The runtime's own threads; the program's share is limited in the group below.
      extraProcesses: 48)
    stage.steps += OCIControlGroups.steps(host.groups)
    var network: Int32 = -1
    if case .namespace(let descriptor) = spec.network { network = descriptor }
    let log = bundle + "/log"
    let launch = SandboxLaunch(
      path: program,
      arguments: [
        program, "--root", runtimeState, "--log", log, "run", "--bundle", bundle,
      ] + (keeps ? ["--keep"] : [])
        + (spec.inherited.isEmpty ? [] : ["--preserve-fds", "\(spec.inherited.count)"])
        + [spec.name],
      environment: ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      folder: "/", streams: streams, inherited: spec.inherited, group: group,
      steps: stage.steps, network: network,
      outOfMemoryScore: 0)
    let tidy: @Sendable () -> Void = {
      try? FileManager.default.removeItem(atPath: bundle)
      try? FileManager.default.removeItem(atPath: runtimeState + "/" + spec.name)
    }
    CrashPoint.pass(.sandboxLimited)
    do {
      let pid = try launch.start()
      CrashPoint.pass(.sandboxStarted)
      return SandboxProcess(
        pid: pid, group: group, limits: spec.limits,
        understand: { Self.understand($0, log: log) }, tidy: tidy)
    } catch {
      tidy()
      group.remove()
      throw error
    }
  }

  /// Forgets sandboxes that an agent left behind when it died; their processes and control groups are
  /// ended by ``ControlGroup/reapLeftovers(_:parent:deadline:)``, their mounts went with these.
  public func removeLeftovers() {
    let manager = FileManager.default
    for name in (try? manager.contentsOfDirectory(atPath: host.stateFolder)) ?? []
    where name.hasPrefix("bundle-") || name == (program as NSString).lastPathComponent {
      try? manager.removeItem(atPath: host.stateFolder + "/" + name)
    }
  }

  // A runtime that could not start the program ends with 1 as a program might; its log tells.
  private static func understand(_ cause: ExitCause, log: String) -> ExitCause {
    guard case .exited(let status) = cause, status != 0 else { return cause }
    let text = ControlGroup.text(log)
    let failure = text.split(separator: "\n").last { line in
      line.contains("level=error") || line.contains("level=fatal") || line.contains(": error")
        || !line.contains("level=")
    }
    if let failure, status < 129 || status > 192 {
      return .notStarted(reason: String(failure.prefix(500)))
    }
    return SandboxDriverEnd.understand(cause)
  }

  // Asks the runtime itself: runc 1.1 can, crun since 1.9.
  private static func keeps(_ program: String) -> Bool {
    guard let capture = try? SandboxCapture() else { return false }
    let launch = SandboxLaunch(
      path: program, arguments: [program, "run", "--help"], folder: "/", streams: capture.streams,
      outOfMemoryScore: 0)
    guard let pid = try? launch.start() else { return false }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return ((try? capture.text(limit: 64 << 10)) ?? "").contains("--keep")
  }
}

extension OCIConfiguration.Device {
  /// Describes a node of the host. Throws `specInvalid` for what is none.
  init(_ path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw IorunError.system("cannot use the device", path, errno: errno)
    }
    let isBlock = status.st_mode & S_IFMT == S_IFBLK
    guard isBlock || status.st_mode & S_IFMT == S_IFCHR else {
      throw IorunError(.specInvalid, "'\(path)' is not a device")
    }
    self.init(
      path: path, type: isBlock ? "b" : "c",
      major: Int64(iorun_device_major(status.st_rdev)),
      minor: Int64(iorun_device_minor(status.st_rdev)),
      // In a user namespace nobody owns it, so whoever is in the sandbox may use it.
      fileMode: 0o666, uid: 0, gid: 0)
  }
}

/// Shows an OCI runtime the sandbox's control groups as the roots of their hierarchies.
enum OCIControlGroups {
  /// The runtime's own group in version 2, and that of whoever enters later.
  static let leaf = "runtime"

  static func steps(_ layout: ControlGroupLayout) -> [SandboxLaunch.Step] {
    let place = "/sys/fs/cgroup"
    let flags = UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC)
    var steps = [SandboxLaunch.Step(kind: iorun_box_new_groups, target: "")]
    guard !layout.version1.isEmpty else {
      steps += [
        .init(
          kind: iorun_box_mount, target: place, source: "cgroup2", type: "cgroup2",
          flags: flags),
        // The runtime goes into a group of its own: its program's beside it gets controllers only from
        // one without processes. What the host does not give, the runtime then misses itself.
        .init(kind: iorun_box_make_folder, target: place + "/" + leaf, flags: 0o755),
        .init(kind: iorun_box_write, target: place + "/" + leaf + "/cgroup.procs", source: "0"),
      ]
      return steps
        + ["memory", "pids", "cpu"].map {
          .init(
            kind: iorun_box_write, target: place + "/cgroup.subtree_control", source: "+" + $0,
            flags: 1)
        }
    }
    steps.append(
      .init(
        kind: iorun_box_mount, target: place, source: "tmpfs", type: "tmpfs",
        data: "mode=0755,size=1m", flags: flags))
    // Version 2 is left out where both are there: crun refuses such hosts.
    for hierarchy in ControlGroup.hierarchies(layout) {
      let folder = place + "/" + hierarchy.name
      steps.append(.init(kind: iorun_box_make_folder, target: folder, flags: 0o755))
      steps.append(
        .init(
          kind: iorun_box_mount, target: folder, source: "cgroup", type: "cgroup",
          data: hierarchy.options, flags: flags))
    }
    return steps
  }
}
