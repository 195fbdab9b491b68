internal import CSandbox
internal import Glibc
internal import IorunCore

/// An OCI runtime configuration (`config.json`, runtime-spec 1.0.2), as far as we write one.
struct OCIConfiguration: Encodable {
  struct User: Encodable {
    var uid: UInt32
    var gid: UInt32
  }

  /// Five empty sets: none of a process's capabilities is kept.
  struct Capabilities: Encodable {
    var bounding: [String] = []
    var effective: [String] = []
    var inheritable: [String] = []
    var permitted: [String] = []
    var ambient: [String] = []
  }

  struct ResourceLimit: Encodable {
    var type: String
    var hard: UInt64
    var soft: UInt64
  }

  struct Process: Encodable {
    var terminal = false
    var user: User
    var args: [String]
    var env: [String]
    var cwd: String
    var capabilities = Capabilities()
    var rlimits: [ResourceLimit]
    var noNewPrivileges = true
    var oomScoreAdj: Int
  }

  struct Root: Encodable {
    var path: String
    var readonly: Bool
  }

  struct Mount: Encodable {
    var destination: String
    var type: String
    var source: String
    var options: [String]
  }

  struct Namespace: Encodable {
    var type: String
  }

  struct IDMapping: Encodable {
    var containerID: UInt32
    var hostID: UInt32
    var size: UInt32
  }

  struct Device: Encodable {
    var path: String
    var type: String
    var major: Int64
    var minor: Int64
    var fileMode: UInt32
    var uid: UInt32
    var gid: UInt32
  }

  struct DeviceRule: Encodable {
    var allow: Bool
    var type: String?
    var major: Int64?
    var minor: Int64?
    var access: String
  }

  struct ProcessLimit: Encodable {
    var limit: Int
  }

  struct Resources: Encodable {
    var devices: [DeviceRule]
    var pids: ProcessLimit
  }

  struct Hook: Encodable {
    var path: String
    var args: [String]
    var env: [String]?
    var timeout: Int?
  }

  struct Hooks: Encodable {
    var createRuntime: [Hook]?
    var createContainer: [Hook]?
    var startContainer: [Hook]?
  }

  struct Linux: Encodable {
    var namespaces: [Namespace]
    var uidMappings: [IDMapping]
    var gidMappings: [IDMapping]
    var devices: [Device]
    var cgroupsPath: String
    var resources: Resources
    var seccomp: OCISeccomp
    var maskedPaths: [String]
    var readonlyPaths: [String]
  }

  var ociVersion = "1.0.2"
  var hostname = "iorun"
  var process: Process
  var root: Root
  var mounts: [Mount]
  var hooks: Hooks?
  var linux: Linux
}

extension OCIConfiguration {
  /// The configuration for strangers' work: see ``SandboxProfile``.
  ///
  /// - Parameters:
  ///   - groupsPath: the runtime's own control group, below the sandbox's.
  ///   - devices: what ``SandboxSpec/devices`` are.
  init(
    _ spec: SandboxSpec, stage: SandboxStage, groupsPath: String, devices: [Device],
    architecture: SeccompProfile.Architecture
  ) {
    let limits = spec.limits
    process = Process(
      user: User(uid: SandboxSpec.userInside, gid: SandboxSpec.userInside), args: spec.command,
      env: spec.environment.sorted { $0.key < $1.key }.map { $0.key + "=" + $0.value },
      cwd: spec.folder,
      rlimits: BubblewrapDriver.limits(limits).map { limit in
        // The runtime sets it within the sandbox's user namespace, where none can be raised: what is
        // lower for this process stays so.
        var present = rlimit()
        let isKnown = getrlimit(__rlimit_resource_t(UInt32(limit.resource)), &present) == 0
        let value = isKnown ? min(limit.value, UInt64(present.rlim_max)) : limit.value
        return ResourceLimit(type: Self.names[limit.resource] ?? "", hard: value, soft: value)
      },
      oomScoreAdj: SandboxProfile.outOfMemoryScore)
    root = Root(path: stage.root, readonly: !stage.isRootWritable)
    mounts = Self.mounts(spec, stage: stage)
    let mapping = IDMapping(
      containerID: 0, hostID: spec.firstUser, size: SandboxSpec.userCount)
    let kinds = ["pid", "mount", "ipc", "uts", "user", "cgroup"]
    linux = Linux(
      namespaces: (kinds + (spec.network == .none ? ["network"] : [])).map { Namespace(type: $0) },
      uidMappings: [mapping], gidMappings: [mapping], devices: devices, cgroupsPath: groupsPath,
      resources: Resources(
        devices: [DeviceRule(allow: false, access: "rwm")]
          + devices.map {
            DeviceRule(allow: true, type: $0.type, major: $0.major, minor: $0.minor, access: "rw")
          }, pids: ProcessLimit(limit: limits.processes)),
      seccomp: SeccompProfile.standard.ociSection(for: architecture),
      maskedPaths: SandboxProfile.maskedFiles + SandboxProfile.maskedFolders,
      readonlyPaths: SandboxProfile.readOnly)
  }

  /// What a runtime calls the limits of setrlimit(2).
  private static let names: [Int32: String] = [
    Int32(iorun_limit_core): "RLIMIT_CORE", Int32(iorun_limit_files): "RLIMIT_NOFILE",
    Int32(iorun_limit_file_size): "RLIMIT_FSIZE", Int32(iorun_limit_locked): "RLIMIT_MEMLOCK",
    Int32(iorun_limit_queues): "RLIMIT_MSGQUEUE",
  ]

  private static func mounts(_ spec: SandboxSpec, stage: SandboxStage) -> [Mount] {
    func tmpfs(_ path: String, _ size: Bytes, mode: String, _ more: [String] = []) -> Mount {
      Mount(
        destination: path, type: "tmpfs", source: "tmpfs",
        options: ["nosuid", "nodev", "mode=\(mode)", "size=\(size.rawValue)"] + more)
    }
    func bind(_ source: String, _ target: String, isWritable: Bool) -> Mount {
      Mount(
        destination: target, type: "bind", source: source,
        options: ["rbind", "nosuid", "nodev", isWritable ? "rw" : "ro"])
    }
    var mounts = [
      Mount(
        destination: "/proc", type: "proc", source: "proc",
        options: ["nosuid", "noexec", "nodev"]),
      Mount(
        destination: "/dev", type: "tmpfs", source: "tmpfs",
        options: ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
      Mount(
        destination: "/dev/pts", type: "devpts", source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
      tmpfs("/dev/shm", spec.limits.sharedMemory, mode: "1777", ["noexec"]),
      tmpfs("/tmp", spec.limits.temporary, mode: "1777"),
      tmpfs("/sys", .kibi(64), mode: "755", ["noexec"]),
    ]
    for folder in SandboxProfile.shownFolders {
      mounts.append(bind(folder, folder, isWritable: false))
    }
    if let job = stage.job { mounts.append(bind(job, "/job", isWritable: true)) }
    for entry in stage.binds {
      mounts.append(bind(entry.source, entry.target, isWritable: entry.isWritable))
    }
    return mounts
  }
}
