internal import Foundation
internal import IorunCore

/// What a Docker daemon is asked to make (Engine API, ContainerCreate). The names are the API's.
struct DockerContainer: Encodable {
  struct Limit: Encodable {
    var Name: String
    var Soft: UInt64
    var Hard: UInt64
  }
  struct Device: Encodable {
    var PathOnHost: String
    var PathInContainer: String
    var CgroupPermissions = "rw"
  }
  struct DeviceRequest: Encodable {
    var Driver = "cdi"
    var DeviceIDs: [String]
  }
  struct Mount: Encodable {
    struct BindSettings: Encodable { var NonRecursive = false }
    var `Type` = "bind"
    var Source: String
    var Target: String
    var ReadOnly: Bool
    var BindOptions = BindSettings()
  }
  struct LogSettings: Encodable { var `Type` = "none" }
  struct HostSettings: Encodable {
    var NetworkMode = "none"
    var IpcMode = "private"
    var CgroupnsMode = "private"
    var ReadonlyRootfs = true
    var CapDrop = ["ALL"]
    var SecurityOpt: [String]
    var Memory: UInt64
    var MemorySwap: UInt64
    var PidsLimit: Int
    var NanoCpus: Int
    var ShmSize: UInt64
    var OomScoreAdj = SandboxProfile.outOfMemoryScore
    var Ulimits: [Limit]
    var Tmpfs: [String: String]
    var Mounts: [Mount]
    var Devices: [Device]
    var DeviceRequests: [DeviceRequest]
    var MaskedPaths: [String]
    var ReadonlyPaths: [String]
    var LogConfig = LogSettings()
  }

  var Image: String
  var Hostname = "iorun"
  var User: String
  var Entrypoint: [String]
  var Env: [String]
  var WorkingDir: String
  var AttachStdin: Bool
  var OpenStdin: Bool
  var StdinOnce: Bool
  var AttachStdout = true
  var AttachStderr = true
  var NetworkDisabled = true
  var Labels: [String: String]
  var HostConfig: HostSettings
}

extension DockerContainer {
  /// What a spec means to a daemon: the same walls as ``OCIConfiguration``, but for the user namespace,
  /// which is the daemon's to give (`userns-remap`). So the user is one of the host that nobody else is.
  ///
  /// - Parameter hasInput: whether there is something to read.
  init(
    _ spec: SandboxSpec, root: DockerRoot, image: String, group: String, hasInput: Bool,
    architecture: SeccompProfile.Architecture
  ) throws {
    let limits = spec.limits
    let filter = try JSONEncoder().encode(
      SeccompProfile.standard.ociSection(for: architecture))
    var mounts = root.binds + spec.binds
    if let scratch = spec.scratch {
      mounts.append(.init(scratch + "/job", at: "/job", isWritable: true))
    }
    mounts += SandboxProfile.shownFolders.map { .init($0, at: $0) }
    let files: [(String, UInt64)] = [
      ("core", 0), ("nofile", UInt64(limits.openFiles)),
      ("fsize", min(limits.fileSize.rawValue, UInt64(Int64.max))), ("memlock", 64 << 10),
      ("msgqueue", 0),
    ]
    let variables = spec.environment.sorted { $0.key < $1.key }.map { $0.key + "=" + $0.value }
    let temporary = [
      "/tmp": "nosuid,nodev,mode=1777,size=\(limits.temporary.rawValue)",
      "/sys": "nosuid,nodev,noexec,mode=755,size=65536",
    ]
    let bound = mounts.map { entry in
      Mount(Source: entry.source, Target: entry.target, ReadOnly: !entry.isWritable)
    }
    let described =
      spec.describedDevices.isEmpty ? [] : [DeviceRequest(DeviceIDs: spec.describedDevices)]
    let security = ["no-new-privileges", "seccomp=" + String(decoding: filter, as: UTF8.self)]
    let settings = HostSettings(
      SecurityOpt: security, Memory: limits.memory.rawValue, MemorySwap: limits.memory.rawValue,
      PidsLimit: limits.processes, NanoCpus: limits.milliCPUs * 1_000_000,
      ShmSize: limits.sharedMemory.rawValue,
      Ulimits: files.map { Limit(Name: $0.0, Soft: $0.1, Hard: $0.1) }, Tmpfs: temporary,
      Mounts: bound,
      Devices: spec.devices.map { Device(PathOnHost: $0, PathInContainer: $0) },
      DeviceRequests: described,
      MaskedPaths: SandboxProfile.maskedFiles + SandboxProfile.maskedFolders,
      ReadonlyPaths: SandboxProfile.readOnly)
    self.init(
      Image: image, User: "\(spec.hostUser):\(spec.hostUser)", Entrypoint: spec.command,
      Env: variables, WorkingDir: spec.folder, AttachStdin: hasInput, OpenStdin: hasInput,
      StdinOnce: hasInput, Labels: [DockerDriver.label: group], HostConfig: settings)
  }
}

/// A folder as the root of a container. A daemon runs images only: so the image has the folder's own
/// links, and an empty place for everything else in it, over which the daemon binds it.
struct DockerRoot {
  /// The image's only layer, a tar archive.
  let archive: [UInt8]
  let binds: [SandboxSpec.Bind]

  private static let own: Set<String> = ["proc", "dev", "sys", "tmp", "job"]

  /// Reads the folder's entries, and makes places for what else is to be bound.
  init(_ folder: String, places: [SandboxSpec.Bind]) throws {
    var archive = TarWriter()
    var binds: [SandboxSpec.Bind] = []
    for name in Self.own.sorted() { archive.addFolder(name, mode: name == "tmp" ? 0o1777 : 0o755) }
    try Self.show(folder, "", covered: Set(places.map(\.target)), &archive, &binds)
    self.archive = archive.bytes
    self.binds = binds
  }

  // Shows the entries of a folder; of /etc each by itself, for the daemon puts files of its own there.
  private static func show(
    _ folder: String, _ above: String, covered: Set<String>, _ archive: inout TarWriter,
    _ binds: inout [SandboxSpec.Bind]
  ) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder + "/" + above)
    let daemons = ["etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"]
    for name in names.sorted() {
      let inside = above + name
      guard !own.contains(inside), !daemons.contains(inside) else { continue }
      let path = folder + "/" + inside
      var status = stat()
      guard lstat(path, &status) == 0 else { continue }
      switch status.st_mode & S_IFMT {
      case S_IFLNK:
        archive.addLink(
          inside, to: try FileManager.default.destinationOfSymbolicLink(atPath: path))
        continue
      case S_IFDIR: archive.addFolder(inside, mode: 0o755)
      case S_IFREG: archive.addFile(inside)
      default: continue
      }
      if inside == "etc" {
        try show(folder, "etc/", covered: covered, &archive, &binds)
      } else if !covered.contains("/" + inside) {
        binds.append(.init(path, at: "/" + inside))
      }
    }
  }
}

/// Writes a tar archive (POSIX.1-2001, ustar) of empty folders and files, and links.
struct TarWriter {
  private var blocks: [UInt8] = []

  /// The archive, with its end.
  var bytes: [UInt8] { blocks + [UInt8](repeating: 0, count: 1024) }

  mutating func addFolder(_ path: String, mode: Int) { add(path + "/", "5", mode: mode) }
  mutating func addFile(_ path: String) { add(path, "0", mode: 0o644) }
  mutating func addLink(_ path: String, to target: String) {
    add(path, "2", mode: 0o777, target: target)
  }

  private mutating func add(
    _ path: String, _ kind: Character, mode: Int, target: String = ""
  ) {
    // Longer ones are left out: they have no place in this header.
    guard path.utf8.count <= 100, target.utf8.count <= 100 else { return }
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at offset: Int) {
      block.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
    }
    func octal(_ value: Int, digits: Int) -> String {
      let text = String(value, radix: 8)
      return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
    put(path, at: 0)
    put(octal(mode, digits: 7), at: 100)
    for offset in [108, 116] { put(octal(0, digits: 7), at: offset) }
    for offset in [124, 136] { put(octal(0, digits: 11), at: offset) }
    put("        ", at: 148)
    put(String(kind), at: 156)
    put(target, at: 157)
    put("ustar\u{0}00", at: 257)
    put(octal(block.reduce(0) { $0 + Int($1) }, digits: 6) + "\u{0} ", at: 148)
    blocks += block
  }
}
