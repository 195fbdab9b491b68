internal import Foundation
internal import IorunCore

/// A folder whose inside may be hostile: every step below it is taken without following symbolic
/// links, so that nothing outside is ever read or written, even while somebody moves things about.
struct FolderTree {
  /// The folder.
  let root: String

  /// What a walk meets.
  struct Visit {
    /// The path below the root.
    let path: String
    /// The last part of the path.
    let name: String
    /// What stands there; of a symbolic link, the link itself.
    let status: stat

    var kind: mode_t { status.st_mode & S_IFMT }
  }

  /// Opens the folder `parts` below the root; makes those that are not there where `creates`.
  func openFolder(_ parts: some Sequence<String>, creates: Bool = false) throws -> OpenFile {
    var folder = try OpenFile(root, O_RDONLY | O_DIRECTORY)
    for part in parts {
      if creates, mkdirat(folder.descriptor, part, 0o755) != 0, errno != EEXIST {
        throw IorunError.system("cannot make the folder", "\(folder.path)/\(part)", errno: errno)
      }
      folder = try OpenFile(part, in: folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
    return folder
  }

  /// Opens the regular file at `path` for reading. Throws `fileSystem` for anything else.
  func openFile(_ path: String) throws -> OpenFile {
    guard let parts = RelativePath.parts(path), let name = parts.last else {
      throw IorunError(.malformed, "'\(path.prefix(200))' is not a path below a folder")
    }
    return try Self.openFile(name, in: openFolder(parts.dropLast()))
  }

  /// Opens the regular file `name` in `folder` for reading.
  static func openFile(_ name: String, in folder: borrowing OpenFile) throws -> OpenFile {
    // O_NONBLOCK: a FIFO put here a moment ago must not hang us.
    let file = try OpenFile(name, in: folder, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    guard try file.status().st_mode & S_IFMT == S_IFREG else {
      throw IorunError(.fileSystem, "'\(file.path)' is not a regular file")
    }
    return file
  }

  /// Calls `visit` for every name below the root, parents before children, in no other order.
  /// Where `visit` returns true for a folder, its inside is visited too.
  func walk(_ visit: (Visit, borrowing OpenFile) throws -> Bool) throws {
    // Folders are opened anew by path instead of being kept open: a deep tree would use up the
    // process's open files.
    var waiting: [[String]] = [[]]
    while let parts = waiting.popLast() {
      let folder = try openFolder(parts)
      let prefix = parts.isEmpty ? "" : parts.joined(separator: "/") + "/"
      for name in try Self.names(in: folder) {
        var status = stat()
        guard fstatat(folder.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
          if errno == ENOENT { continue }
          throw IorunError.system("cannot look at", "\(folder.path)/\(name)", errno: errno)
        }
        let entry = Visit(path: prefix + name, name: name, status: status)
        if try visit(entry, folder), entry.kind == S_IFDIR { waiting.append(parts + [name]) }
      }
    }
  }

  /// Where the symbolic link `name` in `folder` points.
  static func linkTarget(_ name: String, in folder: borrowing OpenFile) throws -> String {
    let path = folder.path + "/" + name
    let capacity = ContentLimits.pathBytes + 1
    var buffer = [CChar](repeating: 0, count: capacity)
    let count = readlinkat(folder.descriptor, name, &buffer, capacity)
    guard count >= 0 else { throw IorunError.system("cannot read the link", path, errno: errno) }
    guard count <= ContentLimits.pathBytes,
      let target = String(validating: buffer[..<count], as: Unicode.UTF8.self)
    else {
      throw IorunError(
        .specInvalid, "the symbolic link '\(path)' has a target that is too long or not UTF-8",
        remedy: "Remove the link")
    }
    return target
  }

  /// The names in a folder, without `.` and `..`, in no order.
  private static func names(in folder: borrowing OpenFile) throws -> [String] {
    let copy = openat(folder.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0, let stream = fdopendir(copy) else {
      let number = errno
      if copy >= 0 { close(copy) }
      throw IorunError.system("cannot list", folder.path, errno: number)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else { break }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
      }
      guard let name else {
        throw IorunError(
          .specInvalid, "'\(folder.path)' holds a file whose name is not UTF-8",
          remedy: "Rename the file")
      }
      if name != ".", name != ".." { names.append(name) }
    }
    guard errno == 0 else { throw IorunError.system("cannot list", folder.path, errno: errno) }
    return names
  }
}
