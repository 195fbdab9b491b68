internal import Foundation
internal import IorunCore
public import IorunSandbox

/// A place for sandboxes of one test: folders, control groups and a stage of its own, all gone with
/// `remove()`.
public struct SandboxLab: Sendable {
  public let folder: String
  public let host: SandboxHost
  public let groupName: String

  public init(_ name: String) throws {
    let number = UInt32.random(in: 0 ... .max)
    groupName = "iorun-test-\(getpid())-\(name)-\(number)"
    folder = NSTemporaryDirectory() + groupName
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    host = try SandboxHost(
      stateFolder: folder + "/state", groupName: groupName,
      groups: .current(), isRoot: geteuid() == 0, stage: folder + "/stage")
  }

  /// Ends what is left and removes everything.
  public func remove() {
    _ = try? ControlGroup.reapLeftovers(host.groups, parent: groupName)
    ControlGroup.removeParent(host.groups, parent: groupName)
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// A program of this package, beside the tests' own.
  public static func program(_ name: String) -> String {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (own as NSString).deletingLastPathComponent + "/" + name
  }

  /// Where a program of the machine is; `nil` where it is not installed.
  public static func find(_ name: String) -> String? {
    ["/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/bin/", "/sbin/"].map { $0 + name }
      .first { access($0, X_OK) == 0 }
  }

  public var selfTest: SandboxSelfTest {
    SandboxSelfTest(
      canary: Self.program("iorun-sandbox-canary"), folder: folder,
      libraryFolders: HostRoot.ownLibraryFolders())
  }
}
