internal import CShim
internal import Foundation
internal import IorunCore

/// Where a node's processes find its hub: a socket in a short folder that only this user can enter
/// (a socket's path has at most 107 bytes), published in `hub.json` in the node's folder.
final class HubSocket {
  /// What `hub.json` says.
  private struct Published: Encodable {
    var socket: String
    var node: NodeID
    var name: String
  }

  /// The short folder; jobs have folders below it.
  let folder: String
  /// The socket.
  let path: String
  let descriptor: Int32
  private let file: String

  /// The short folder of a node's hub on this machine.
  static func folder(of node: NodeID) -> String {
    "/tmp/iorun-\(getuid())-\(node.description.prefix(12))"
  }

  /// Where a node's hub listens on this machine.
  static func path(of node: NodeID) -> String { folder(of: node) + "/hub.sock" }

  /// Makes the folder and listens.
  ///
  /// - Parameter admitsOthers: processes of other users connect, too, to whom the socket is shown in
  ///   their sandboxes. Outside, the folder keeps them away.
  /// - Throws: `fileSystem` or `diskFull`.
  init(nodeFolder: String, node: NodeID, admitsOthers: Bool) throws {
    folder = Self.folder(of: node)
    path = Self.path(of: node)
    file = nodeFolder + "/hub.json"
    try Self.makePrivate(folder)
    // Whatever an earlier agent of this node left: it is over, because we hold the node's lock.
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
    }
    descriptor = iorun_unix_listen(path, 1024)
    guard descriptor >= 0 else {
      throw IorunError.system("cannot listen at", path, errno: -descriptor)
    }
    chmod(path, admitsOthers ? 0o666 : 0o600)
  }

  /// Tells programs of this machine where the hub is.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  func publish(node: NodeID, name: String) throws {
    let text = try JSONEncoder().encode(Published(socket: path, node: node, name: name))
    do {
      try text.write(to: URL(fileURLWithPath: file), options: .atomic)
    } catch {
      throw IorunError(.fileSystem, "cannot write \(file)", cause: error)
    }
  }

  /// Takes everything away.
  func remove() {
    unlink(file)
    close(descriptor)
    // What cannot be removed is removed when the node next starts.
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// Makes a folder of mode 0700 that is ours, or says why it cannot be.
  static func makePrivate(_ folder: String) throws {
    if mkdir(folder, 0o700) != 0, errno != EEXIST {
      throw IorunError.system("cannot make", folder, errno: errno)
    }
    var status = stat()
    guard lstat(folder, &status) == 0 else {
      throw IorunError.system("cannot look at", folder, errno: errno)
    }
    // Anybody can make a folder in /tmp first.
    guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == getuid(),
      status.st_mode & 0o077 == 0
    else {
      throw IorunError(
        .fileSystem, "\(folder) is not a folder that only this user can enter",
        remedy: "Remove it, and start the node again")
    }
  }
}
