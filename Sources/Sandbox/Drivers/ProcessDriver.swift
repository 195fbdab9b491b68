internal import Foundation
internal import IorunCore

/// Runs a program as an ordinary process of this user: no isolation, so only for one's own work. Its
/// limits are kept where the host has control groups.
public struct ProcessDriver: SandboxDriver {
  private let host: SandboxHost

  /// Makes the driver.
  public init(host: SandboxHost) { self.host = host }

  /// See ``SandboxDriver/kind``.
  public var kind: SandboxKind { .process }
  /// There is none.
  public var program: String { "" }

  /// See ``SandboxDriver/launch(_:streams:)``.
  public func launch(_ spec: SandboxSpec, streams: SandboxStreams) throws -> SandboxProcess {
    try spec.validate()
    guard spec.tenancy == .own else {
      throw IorunError(
        .sandboxUnavailable, "work of strangers is not run without a sandbox",
        remedy: "Install bubblewrap or runc and start the node again")
    }
    guard spec.root == "/", spec.binds.isEmpty, spec.scratch == nil, spec.describedDevices.isEmpty
    else {
      throw IorunError(
        .specInvalid, "without a sandbox there is no other root than this machine's")
    }
    // Without root, or with read-only control groups, the work runs without limits.
    let group = try? ControlGroup(
      host.groups, parent: host.groupName, name: spec.name, limits: spec.limits)
    var network: Int32 = -1
    if case .namespace(let descriptor) = spec.network { network = descriptor }
    let launch = SandboxLaunch(
      path: spec.command[0], arguments: spec.command, environment: spec.environment,
      folder: spec.folder, streams: streams, inherited: spec.inherited,
      group: group?.folders.isEmpty == true ? nil : group,
      network: network, outOfMemoryScore: 0)
    do {
      return SandboxProcess(pid: try launch.start(), group: launch.group)
    } catch {
      group?.remove()
      throw error
    }
  }
}
