internal import Foundation
internal import IorunCore

/// Folders of the agent's, with the mode that they should have whatever the umask is.
enum SandboxFolder {
  /// Makes the folder and those above it; one that is there gets the mode. Throws as
  /// ``IorunError/system(_:_:errno:)``.
  static func make(_ path: String, mode: mode_t) throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw IorunError(.fileSystem, "cannot make the folder '\(path)'", cause: error)
    }
    guard chmod(path, mode) == 0 else {
      throw IorunError.system("cannot set the mode of", path, errno: errno)
    }
  }

  /// Makes the empty folders of a root on which a sandbox's own file systems are mounted.
  ///
  /// - Throws: `imageInvalid` where something else stands there: an image may bring a symbolic link
  ///   in the place of `proc`, and nothing is made where it leads.
  static func addMountPoints(root: String) throws {
    for name in ["proc", "dev", "tmp", "sys", "job"] {
      let path = root + "/" + name
      var status = stat()
      if lstat(path, &status) != 0 {
        guard mkdir(path, 0o755) == 0 || errno == EROFS || errno == EACCES else {
          throw IorunError.system("cannot make the folder", path, errno: errno)
        }
        // runc gives the file system that it mounts there this folder's mode.
        if name == "tmp" { chmod(path, 0o1777) }
      } else if status.st_mode & S_IFMT != S_IFDIR {
        throw IorunError(
          .imageInvalid, "'\(path)' is not a folder, and a file system is to be mounted there",
          remedy: "Use an image with an ordinary /\(name)")
      }
    }
  }
}
