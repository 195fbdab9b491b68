internal import CSandbox
internal import Foundation
internal import IorunCore

/// The devices that the host's own tools describe for containers (Container Device Interface 0.6): a
/// GPU's nodes, libraries and hooks. The files are root's; a job names a device only.
struct CDIRegistry {
  struct Edits: Decodable {
    struct Node: Decodable {
      var path: String
      var hostPath: String?
      var permissions: String?
    }
    struct Mount: Decodable {
      var hostPath: String
      var containerPath: String
      var options: [String]?
    }
    struct Hook: Decodable {
      var hookName: String
      var path: String
      var args: [String]?
      var env: [String]?
      var timeout: Int?
    }
    var env: [String]?
    var deviceNodes: [Node]?
    var mounts: [Mount]?
    var hooks: [Hook]?
  }
  struct Device: Decodable {
    var name: String
    var containerEdits: Edits
  }
  struct File: Decodable {
    var kind: String
    var devices: [Device]
    var containerEdits: Edits?
  }

  static let folders = ["/var/run/cdi", "/etc/cdi"]
  static let fileLimit = 8 << 20

  let files: [File]

  /// Reads every JSON file of the folders that is root's alone to write; YAML is not read.
  init(folders: [String] = CDIRegistry.folders) {
    var files: [File] = []
    for folder in folders {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      for name in names.sorted() where name.hasSuffix(".json") {
        guard let file = try? OpenFile(folder + "/" + name, O_RDONLY | O_NOFOLLOW),
          let status = try? file.status(),
          status.st_uid == geteuid() || status.st_uid == 0, status.st_mode & 0o022 == 0,
          let bytes = try? file.read(upTo: Self.fileLimit),
          let entry = try? JSONDecoder().decode(File.self, from: Data(bytes))
        else { continue }
        files.append(entry)
      }
    }
    self.files = files
  }

  /// What a container needs for the device `KIND=NAME`, for example `nvidia.com/gpu=0`: the file's
  /// edits, then the device's own. Throws `notFound`.
  func edits(for device: String) throws -> [Edits] {
    for file in files where device.hasPrefix(file.kind + "=") {
      let name = device.dropFirst(file.kind.count + 1)
      if let entry = file.devices.first(where: { $0.name == name }) {
        return [file.containerEdits, entry.containerEdits].compactMap { $0 }
      }
    }
    throw IorunError(
      .notFound, "no CDI specification names the device '\(device.prefix(100))'",
      remedy: "Run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.json --format=json`")
  }
}

extension CDIRegistry {
  /// The device of `kind` that is this node of the host and no other of its kind: of descriptions like
  /// `all` there may be several nodes.
  func name(ofNode path: String, kind: String, prefix: String) -> String? {
    for file in files where file.kind == kind {
      let device = file.devices.first { device in
        let nodes = (device.containerEdits.deviceNodes ?? []).map { $0.hostPath ?? $0.path }
        let own = nodes.filter { node in
          node.hasPrefix(prefix) && !node.dropFirst(prefix.count).isEmpty
            && node.dropFirst(prefix.count).allSatisfy(\.isNumber)
        }
        return own == [path]
      }
      if let device { return "\(kind)=\(device.name)" }
    }
    return nil
  }
}

/// Devices that the host's CDI files describe.
public enum DescribedDevice {
  /// The description of the NVIDIA GPU with this device file, as ``SandboxSpec/describedDevices`` has it:
  /// `nvidia.com/gpu=…`; `nil` where none has that one alone. Reads files.
  ///
  /// - Parameter folders: where the files are; `nil` for the host's own.
  public static func nvidia(node: String, folders: [String]? = nil) -> String? {
    CDIRegistry(folders: folders ?? CDIRegistry.folders)
      .name(ofNode: node, kind: "nvidia.com/gpu", prefix: "/dev/nvidia")
  }
}

extension OCIConfiguration {
  /// Adds what one device needs.
  mutating func apply(_ edits: CDIRegistry.Edits) throws {
    process.env += edits.env ?? []
    for node in edits.deviceNodes ?? [] {
      let source = node.hostPath ?? node.path
      let device = try Device(source)
      // Bound, not made: in a user namespace no device can be made, and runc binds the node of the
      // path inside only, which need not be there on the host.
      mounts.append(
        Mount(
          destination: node.path, type: "bind", source: source,
          options: ["bind", "nosuid", "noexec", "rw"]))
      linux.resources.devices.append(
        DeviceRule(
          allow: true, type: device.type, major: device.major, minor: device.minor,
          access: node.permissions ?? "rw"))
    }
    for mount in edits.mounts ?? [] {
      mounts.append(
        Mount(
          destination: mount.containerPath, type: "bind", source: mount.hostPath,
          options: mount.options ?? ["ro", "nosuid", "nodev", "rbind"]))
    }
    for hook in edits.hooks ?? [] {
      let entry = Hook(
        path: hook.path, args: hook.args ?? [hook.path], env: hook.env, timeout: hook.timeout)
      var all = hooks ?? Hooks()
      switch hook.hookName {
      case "createRuntime", "prestart": all.createRuntime = (all.createRuntime ?? []) + [entry]
      case "createContainer": all.createContainer = (all.createContainer ?? []) + [entry]
      case "startContainer": all.startContainer = (all.startContainer ?? []) + [entry]
      default:
        throw IorunError(.sandboxFailed, "a CDI hook '\(hook.hookName.prefix(50))' is not known")
      }
      hooks = all
    }
  }
}
