internal import IorunCore

/// One way to run a program apart from the machine that it runs on.
public protocol SandboxDriver: Sendable {
  /// What people call it: `oci`, `bwrap`, `docker` or `process`.
  var kind: SandboxKind { get }
  /// The program behind it, for people; empty where there is none.
  var program: String { get }

  /// Starts what `spec` says; returns once the program, or the driver's own that starts it, runs.
  /// May block: call it on a thread that may.
  ///
  /// - Throws: `specInvalid` for a spec that makes no sense, `sandboxUnavailable` where this driver
  ///   must not or cannot run it, `spawnFailed` and `sandboxFailed` where the kernel refused a step.
  func launch(_ spec: SandboxSpec, streams: SandboxStreams) throws -> SandboxProcess
}

/// The drivers there are.
public enum SandboxKind: String, Sendable, Codable, CaseIterable {
  /// An OCI runtime (crun, runc, runsc) with a configuration of our own.
  case oci
  /// Bubblewrap: light, and works without root.
  case bwrap
  /// A Docker daemon.
  case docker
  /// No isolation at all.
  case process
}

/// What drivers of one agent share.
public struct SandboxHost: Sendable {
  /// A folder for configurations of running sandboxes; only the agent reads it.
  public var stateFolder: String
  /// The control group of all its sandboxes, below the agent's own.
  public var groupName: String
  /// Where the agent's own control groups are.
  public var groups: ControlGroupLayout
  /// True where this process may make mounts and become another user.
  public var isRoot: Bool
  /// An empty folder over which each sandbox's mounts are made, in its own namespace. Every user
  /// must be able to reach it, which the state folder need not allow.
  public var stage: String

  /// Describes a host. Makes the folders that are missing.
  ///
  /// - Throws: what making folders throws.
  public init(
    stateFolder: String, groupName: String = "iorun", groups: ControlGroupLayout, isRoot: Bool,
    stage: String = "/run/iorun-stage"
  ) throws {
    self.stateFolder = stateFolder
    self.groupName = groupName
    self.groups = groups
    self.isRoot = isRoot
    self.stage = stage
    try SandboxFolder.make(stateFolder, mode: 0o700)
    if isRoot { try SandboxFolder.make(stage, mode: 0o755) }
  }
}
