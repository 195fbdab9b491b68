public import Foundation
public import IorunCore

/// Where iorun keeps what it must remember on this machine: `--state-dir`, else `IORUN_STATE_DIR`,
/// else `~/.iorun`. Several local networks live side by side in folders of their own.
public struct StateFolder: Sendable, Hashable {
  /// The folder's absolute path.
  public let path: String

  /// Resolves the folder.
  public init(
    _ option: String?, environment: [String: String] = ProcessInfo.processInfo.environment
  ) {
    let chosen = option ?? environment["IORUN_STATE_DIR"] ?? NSHomeDirectory() + "/.iorun"
    let expanded = NSString(string: chosen).expandingTildeInPath
    path =
      expanded.hasPrefix("/")
      ? expanded : FileManager.default.currentDirectoryPath + "/" + expanded
  }

  /// The head's state.
  public var head: String { path + "/head" }
  /// The state of a node that joined by itself.
  public var node: String { path + "/node" }
  /// The state of node `number` of a local network.
  public func node(_ number: Int) -> String { path + "/node-\(number)" }
  /// The key of this machine's client.
  public var clientKey: String { path + "/client.key" }
  /// What a client must know of the head of this folder.
  public var networkFile: String { path + "/network.json" }
  /// What `iorun up` has started.
  public var run: String { path + "/run" }
  /// What the started processes print.
  public var logs: String { path + "/log" }
  /// Identities that tickets of other heads gave this client.
  public func client(of head: PeerID) -> String { path + "/clients/\(head)" }

  /// Makes a folder that only its owner may enter.
  ///
  /// - Throws: `fileSystem`, saying which folder.
  public static func make(_ folder: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
    } catch {
      throw IorunError(
        .fileSystem, "cannot make the folder \(folder)",
        remedy: "Choose another with --state-dir", cause: error)
    }
  }
}
