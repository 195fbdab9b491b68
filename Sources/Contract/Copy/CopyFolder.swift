internal import CShim
internal import Foundation
internal import IorunContent
internal import IorunCore
internal import IorunCrypto

/// A folder whose inside may be hostile, and change while it is read or written: no step leaves it or
/// follows a symbolic link, because the kernel resolves each path below the open folder. Every call
/// blocks on the disk.
final class CopyFolder: Sendable {
  private struct Owner {
    var user: uid_t
    var group: gid_t
  }

  private let descriptor: Int32
  /// Who gets what is made here; `nil` where it stays with whoever makes it.
  private let owner: Owner?
  /// The folder's path, for messages.
  let path: String

  /// Opens a folder; the way to it is trusted. Where `givesAway`, what is made here belongs to the
  /// folder's owner: a rank in a sandbox could not change what its agent's user owns.
  init(_ path: String, givesAway: Bool = false) throws {
    let descriptor = Foundation.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw IorunError.system("cannot open", path, errno: errno) }
    var status = stat()
    let isOthers =
      givesAway && fstat(descriptor, &status) == 0 && status.st_uid != geteuid()
    owner = isOthers ? Owner(user: status.st_uid, group: status.st_gid) : nil
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  /// Opens what stands at `path` below the folder; empty is the folder itself.
  func open(_ path: String, _ flags: Int32, mode: mode_t = 0) throws -> OpenFile {
    let number = iorun_open_beneath(descriptor, path.isEmpty ? "." : path, flags, mode)
    guard number >= 0 else {
      if number == -ELOOP || number == -EXDEV {
        throw IorunError(
          .fileSystem, "'\(path)' leads through a symbolic link or out of the folder",
          remedy: "Name the file itself")
      }
      throw IorunError.system("cannot open", path.isEmpty ? self.path : path, errno: -number)
    }
    return OpenFile(adopting: number, path: path)
  }

  /// What stands at `path`: of a symbolic link, the link itself. `nil` where nothing does.
  func status(of path: String) throws -> stat? {
    guard !path.isEmpty else { return try open("", O_RDONLY | O_DIRECTORY).status() }
    let (parent, name) = try Self.split(path)
    guard let folder = try optional({ try open(parent, O_RDONLY | O_DIRECTORY) }) else {
      return nil
    }
    var status = stat()
    guard fstatat(folder.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return nil }
      throw IorunError.system("cannot look at", path, errno: errno)
    }
    return status
  }

  /// Makes a folder, and those above it. One that is there stays as it is.
  func makeFolder(_ path: String, mode: mode_t = 0o755) throws {
    guard !path.isEmpty else { return }
    guard let parts = RelativePath.parts(path) else { throw Self.badPath(path) }
    var made = ""
    for (index, part) in parts.enumerated() {
      let parent = try open(made, O_RDONLY | O_DIRECTORY)
      let mode = index == parts.count - 1 ? mode & 0o777 | 0o700 : 0o755
      if mkdirat(parent.descriptor, part, mode) == 0 {
        let folder = try open(Self.join(made, part), O_RDONLY | O_DIRECTORY)
        try giveAway(folder.descriptor, path)
      } else if errno != EEXIST {
        throw IorunError.system("cannot make the folder", path, errno: errno)
      }
      made += (made.isEmpty ? "" : "/") + part
    }
    // A file or a link at its place is noticed here.
    _ = try open(path, O_RDONLY | O_DIRECTORY)
  }

  /// Opens a regular file for reading. Throws `fileSystem` for anything else.
  func openFile(_ path: String) throws -> OpenFile {
    // O_NONBLOCK: a FIFO put here a moment ago must not hang us.
    let file = try open(path, O_RDONLY | O_NONBLOCK)
    guard try file.status().st_mode & S_IFMT == S_IFREG else {
      throw IorunError(.fileSystem, "'\(path)' is not a regular file")
    }
    return file
  }

  /// Opens a file for writing that `take` then puts at its place.
  func openPartial(_ name: String, besides path: String, empty: Bool) throws -> OpenFile {
    let (parent, _) = try Self.split(path)
    let file = try open(
      Self.join(parent, name), O_RDWR | O_CREAT | O_NOFOLLOW | (empty ? O_TRUNC : 0), mode: 0o600)
    guard try file.status().st_mode & S_IFMT == S_IFREG else {
      throw IorunError(.fileSystem, "'\(name)' is in the way and no regular file")
    }
    return file
  }

  /// Puts a partial file at its place, which it replaces.
  ///
  /// - Parameter file: the open file, not opened again by its name: a rank may have put something else
  ///   there.
  func place(_ name: String, _ file: Int32, at path: String, mode: mode_t) throws {
    let (parent, final) = try Self.split(path)
    let folder = try open(parent, O_RDONLY | O_DIRECTORY)
    try giveAway(file, path)
    guard fchmod(file, mode & 0o777) == 0,
      renameat(folder.descriptor, name, folder.descriptor, final) == 0
    else { throw IorunError.system("cannot write", path, errno: errno) }
  }

  private func giveAway(_ made: Int32, _ path: String) throws {
    guard let owner, fchown(made, owner.user, owner.group) != 0 else { return }
    throw IorunError.system("cannot give away", path, errno: errno)
  }

  /// Gives a file a mode.
  func setMode(_ mode: mode_t, of path: String) throws {
    let file = try openFile(path)
    guard fchmod(file.descriptor, mode & 0o777) == 0 else {
      throw IorunError.system("cannot set the mode of", path, errno: errno)
    }
  }

  /// Removes a partial file, where there is one.
  func remove(_ name: String, besides path: String) {
    guard let (parent, _) = try? Self.split(path),
      let folder = try? open(parent, O_RDONLY | O_DIRECTORY)
    else { return }
    unlinkat(folder.descriptor, name, 0)
  }

  /// The names in a folder, in the order of their bytes; `nil` for one that is not UTF-8.
  func names(in path: String) throws -> [String?] {
    let folder = try open(path, O_RDONLY | O_DIRECTORY)
    let copy = openat(folder.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0, let stream = fdopendir(copy) else {
      let number = errno
      if copy >= 0 { close(copy) }
      throw IorunError.system("cannot list", path, errno: number)
    }
    defer { closedir(stream) }
    var names: [String?] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
      }
      if name == "." || name == ".." { continue }
      guard names.count <= CopyLimits.entries else {
        throw IorunError(.tooLarge, "'\(path)' has more than \(CopyLimits.entries) entries")
      }
      names.append(name)
    }
    return names.sorted { RelativePath.isOrdered($0 ?? "", before: $1 ?? "") }
  }

  /// Bytes that the disk has room for.
  func freeBytes() -> UInt64 {
    var status = statvfs()
    guard fstatvfs(descriptor, &status) == 0 else { return .max }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }

  static func join(_ folder: String, _ name: String) -> String {
    folder.isEmpty ? name : name.isEmpty ? folder : folder + "/" + name
  }

  static func split(_ path: String) throws -> (parent: String, name: String) {
    guard let parts = RelativePath.parts(path), let name = parts.last else { throw badPath(path) }
    return (parts.dropLast().joined(separator: "/"), name)
  }

  static func badPath(_ path: String) -> IorunError {
    IorunError(
      .malformed, "'\(path.prefix(200))' is not a path below a folder",
      remedy: "Give one without '..', relative to the working folder")
  }

  private func optional(_ body: () throws -> OpenFile) throws -> OpenFile? {
    do { return try body() } catch let error as IorunError where error.code == .fileMissing {
      return nil
    }
  }
}
