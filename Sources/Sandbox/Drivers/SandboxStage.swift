internal import CSandbox
internal import Foundation
internal import IorunCore

/// Where a sandbox's driver finds what it is to show: the steps that mount it, as root, below the
/// host's stage in a mount namespace that only this sandbox's processes see, or, without root, the
/// host's own paths. A killed agent leaves none of these mounts: they go with their processes.
struct SandboxStage {
  /// The steps to take before the driver's program runs; none without root.
  var steps: [SandboxLaunch.Step] = []
  /// The root, and whether it can be written.
  var root: String
  var isRootWritable = false
  /// What is seen as `/job`, where there is one.
  var job: String?
  /// The same binds, with sources that the driver can reach.
  var binds: [SandboxSpec.Bind]
  var devices: [(source: String, target: String)]

  /// Plans the stage for `spec`. Throws `specInvalid` for what cannot be mounted.
  init(_ spec: SandboxSpec, host: SandboxHost) throws {
    guard host.isRoot else {
      root = spec.root
      job = spec.scratch.map { $0 + "/job" }
      binds = spec.binds
      devices = spec.devices.map { ($0, $0) }
      return
    }
    let stage = host.stage
    root = stage + "/root"
    binds = []
    devices = []
    add(
      .init(
        kind: iorun_box_mount, target: stage, source: "tmpfs", type: "tmpfs",
        data: "mode=0755,size=1m", flags: UInt(MS_NOSUID | MS_NODEV)))
    add(.init(kind: iorun_box_make_folder, target: root, flags: 0o755))
    if let scratch = spec.scratch {
      try addOverlay(spec.root, scratch: scratch, user: spec.hostUser)
      let folder = stage + "/job"
      add(.init(kind: iorun_box_make_folder, target: folder, flags: 0o755))
      add(.init(kind: iorun_box_bind, target: folder, source: scratch + "/job"))
      job = folder
    } else {
      add(.init(kind: iorun_box_bind, target: root, source: spec.root, flags: UInt(MS_RDONLY)))
    }
    for (index, bind) in spec.binds.enumerated() {
      let target = stage + "/bind-\(index)"
      try addPlace(for: bind.source, at: target)
      add(
        .init(
          kind: iorun_box_bind, target: target, source: bind.source,
          flags: bind.isWritable ? 0 : UInt(MS_RDONLY)))
      binds.append(.init(target, at: bind.target, isWritable: bind.isWritable))
    }
    for (index, device) in spec.devices.enumerated() {
      let target = stage + "/device-\(index)"
      add(.init(kind: iorun_box_make_file, target: target))
      add(.init(kind: iorun_box_bind_device, target: target, source: device))
      devices.append((target, device))
    }
  }

  private mutating func add(_ step: SandboxLaunch.Step) { steps.append(step) }

  // Writes below the root go to the scratch, which is encrypted and has a size.
  private mutating func addOverlay(_ lower: String, scratch: String, user: UInt32) throws {
    guard !(lower + scratch).contains(where: { ",:\\\"".contains($0) }) else {
      throw IorunError(
        .specInvalid, "a root or scratch folder has a comma, colon, quote or backslash in its path")
    }
    let upper = scratch + "/upper"
    let work = scratch + "/work"
    let job = scratch + "/job"
    for folder in [upper, job] {
      add(.init(kind: iorun_box_make_folder, target: folder, flags: 0o755))
      add(.init(kind: iorun_box_give, target: folder, flags: UInt(user)))
    }
    add(.init(kind: iorun_box_make_folder, target: work, flags: 0o700))
    add(
      .init(
        kind: iorun_box_mount, target: root, source: "overlay", type: "overlay",
        data: "lowerdir=\(lower),upperdir=\(upper),workdir=\(work)",
        flags: UInt(MS_NOSUID | MS_NODEV)))
    isRootWritable = true
  }

  private mutating func addPlace(for source: String, at target: String) throws {
    var status = stat()
    guard stat(source, &status) == 0 else {
      throw IorunError.system("cannot show in a sandbox", source, errno: errno)
    }
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    add(
      .init(
        kind: isFolder ? iorun_box_make_folder : iorun_box_make_file, target: target,
        flags: 0o755))
  }
}
