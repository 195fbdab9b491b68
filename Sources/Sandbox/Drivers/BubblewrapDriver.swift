internal import CSandbox
internal import CShim
internal import Foundation
internal import IorunCore

/// Runs programs by bubblewrap (`bwrap`), which needs no root. Started by root it runs as the
/// sandbox's own user and never as root: bubblewrap maps the user inside to the one who started it,
/// and root of the host could write to `/proc/sys` from within.
public struct BubblewrapDriver: SandboxDriver {
  /// The file that is run.
  public let program: String
  private let host: SandboxHost

  /// Makes a driver with the file `program`.
  public init(program: String, host: SandboxHost) {
    self.program = program
    self.host = host
  }

  /// See ``SandboxDriver/kind``.
  public var kind: SandboxKind { .bwrap }

  /// See ``SandboxDriver/launch(_:streams:)``.
  public func launch(_ spec: SandboxSpec, streams: SandboxStreams) throws -> SandboxProcess {
    try spec.validate()
    guard let architecture = SeccompProfile.Architecture.current else {
      throw IorunError(.sandboxUnavailable, "there is no filter of system calls for this processor")
    }
    guard spec.describedDevices.isEmpty else {
      throw IorunError(
        .sandboxUnavailable, "bwrap runs no hooks, which devices of a CDI specification need",
        remedy: "Install runc or crun")
    }
    guard spec.network != .host else {
      throw IorunError(.sandboxUnavailable, "bwrap gives no program the host's network")
    }
    try SandboxFolder.addMountPoints(root: spec.root)
    let stage = try SandboxStage(spec, host: host)
    let options = try memoryFile(
      options(spec, stage: stage).flatMap { Array($0.utf8) + [0] }, what: "options")
    defer { close(options) }
    let filter = try memoryFile(
      SeccompProfile.standard.filter(for: architecture).bytes, what: "filter")
    defer { close(filter) }
    let group = try ControlGroup(
      host.groups, parent: host.groupName, name: spec.name, limits: spec.limits,
      extraProcesses: 2)
    var network: Int32 = -1
    if case .namespace(let descriptor) = spec.network { network = descriptor }
    let launch = SandboxLaunch(
      // The options, which hold the environment, in a file and not where ps shows them.
      path: program,
      arguments: ["bwrap", "--args", "\(Self.ownDescriptor(spec))", "--"] + spec.command,
      folder: "/", streams: streams, inherited: spec.inherited + [options, filter], group: group,
      limits: Self.limits(spec.limits), steps: stage.steps, network: network,
      user: host.isRoot ? spec.hostUser : 0)
    CrashPoint.pass(.sandboxLimited)
    do {
      try group.allowDevices(spec.devices.map { try DeviceNumber(node: $0) })
      let pid = try launch.start()
      CrashPoint.pass(.sandboxStarted)
      return SandboxProcess(
        pid: pid, group: group, limits: spec.limits,
        understand: SandboxDriverEnd.understand)
    } catch {
      group.remove()
      throw error
    }
  }

  /// Every limit of setrlimit(2) that is not the control groups' to keep.
  static func limits(_ limits: SandboxLimits) -> [(resource: Int32, value: UInt64)] {
    [
      (Int32(iorun_limit_core), 0),
      (Int32(iorun_limit_files), UInt64(limits.openFiles)),
      (Int32(iorun_limit_file_size), limits.fileSize.rawValue),
      (Int32(iorun_limit_locked), 64 << 10),
      (Int32(iorun_limit_queues), 0),
    ]
  }

  // Bubblewrap closes its own before the program runs.
  private static func ownDescriptor(_ spec: SandboxSpec) -> Int { 3 + spec.inherited.count }

  private func options(_ spec: SandboxSpec, stage: SandboxStage) -> [String] {
    var options = [
      "--unshare-user", "--disable-userns", "--unshare-ipc", "--unshare-pid", "--unshare-uts",
      "--unshare-cgroup-try", "--uid", "\(SandboxSpec.userInside)",
      "--gid", "\(SandboxSpec.userInside)", "--hostname", "iorun", "--cap-drop", "ALL",
      "--die-with-parent", "--new-session", "--clearenv", "--seccomp",
      "\(Self.ownDescriptor(spec) + 1)",
    ]
    if spec.network == .none { options.append("--unshare-net") }
    options += [stage.isRootWritable ? "--bind" : "--ro-bind", stage.root, "/"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    options += tmpfs("/dev/shm", spec.limits.sharedMemory) + tmpfs("/tmp", spec.limits.temporary)
    options += tmpfs("/sys", .kibi(64))
    for folder in SandboxProfile.shownFolders { options += ["--ro-bind", folder, folder] }
    options += ["--remount-ro", "/sys"]
    if let job = stage.job { options += ["--bind", job, "/job"] }
    for bind in stage.binds {
      options += [bind.isWritable ? "--bind" : "--ro-bind", bind.source, bind.target]
    }
    for device in stage.devices { options += ["--dev-bind", device.source, device.target] }
    for path in SandboxProfile.maskedFiles where access(path, F_OK) == 0 {
      options += ["--ro-bind", "/dev/null", path]
    }
    for path in SandboxProfile.maskedFolders where access(path, F_OK) == 0 {
      options += ["--tmpfs", path, "--remount-ro", path]
    }
    for (name, value) in spec.environment.sorted(by: { $0.key < $1.key }) {
      options += ["--setenv", name, value]
    }
    return options + ["--chdir", spec.folder]
  }

  private func tmpfs(_ path: String, _ size: Bytes) -> [String] {
    ["--perms", path == "/sys" ? "0755" : "1777", "--size", "\(size.rawValue)", "--tmpfs", path]
  }

  private func memoryFile(_ bytes: [UInt8], what: String) throws -> Int32 {
    let descriptor = iorun_memory_file(bytes, bytes.count)
    guard descriptor >= 0 else {
      throw IorunError.system("cannot hold in memory", "bwrap's \(what)", errno: -descriptor)
    }
    return descriptor
  }
}
