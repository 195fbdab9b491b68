internal import CSandbox
internal import Foundation
public import IorunCore

/// Unpacks the layers of an image, one over the other, into a folder. Whatever their paths and links
/// say, nothing outside of that folder is touched: each step is taken by the kernel with the folder as
/// the root (openat2(2), `RESOLVE_IN_ROOT`).
///
/// What belongs to others than root in the image belongs to the agent here, and can be read by all:
/// a sandbox's own user is none of the image's. Devices, pipes and setuid bits are left out.
public struct ImageUnpacker: ~Copyable {
  /// The most that an image may have.
  public struct Limits: Sendable {
    /// All of its files together.
    public var bytes: Bytes
    /// Files, folders and links.
    public var entries: Int
    /// How many times larger than its compressed form a layer may be: zeros compress a thousandfold,
    /// programs and data by two to five.
    public var ratio: UInt64

    /// Sets limits.
    public init(bytes: Bytes = .gibi(64), entries: Int = 1_000_000, ratio: UInt64 = 200) {
      self.bytes = bytes
      self.entries = entries
      self.ratio = ratio
    }

    /// The most that a layer of so many compressed bytes may be; small ones may be 64 MiB.
    func archive(ofCompressed size: UInt64) -> Bytes {
      let (product, overflow) = size.multipliedReportingOverflow(by: ratio)
      return min(bytes, overflow ? bytes : max(Bytes(product), .mebi(64)))
    }
  }

  /// What a sandbox mounts on, so that an image must have it.
  public struct Places: Sendable {
    /// Folders directly below the root, with their modes.
    public var folders: [String: UInt32]
    /// Files, each in a folder directly below the root.
    public var files: [String]
    /// Names below the root that an image may not have.
    public var reserved: [String]

    /// Describes places.
    public init(
      folders: [String: UInt32] = [:], files: [String] = [], reserved: [String] = []
    ) {
      self.folders = folders
      self.files = files
      self.reserved = reserved
    }
  }

  private let folder: OpenFile
  private let limits: Limits
  private var bytes: UInt64 = 0
  private var entries = 0

  /// Begins with an empty folder. Throws as ``IorunError/system(_:_:errno:)``.
  public init(into folder: String, limits: Limits = Limits()) throws {
    try SandboxFolder.make(folder, mode: 0o755)
    self.folder = try OpenFile(folder, O_RDONLY | O_DIRECTORY)
    self.limits = limits
  }

  /// Unpacks the next layer, a tar archive that is not compressed. Blocks for long.
  ///
  /// - Throws: `imageInvalid` for an archive that is damaged, leads out or is too large; `fileSystem`
  ///   and `diskFull` where the disk refuses. What was unpacked until then stands.
  public mutating func addLayer(_ path: String) throws {
    var archive = TarReader(try OpenFile(path, O_RDONLY))
    while let entry = try archive.next() {
      entries += 1
      let (sum, overflow) = bytes.addingReportingOverflow(entry.size)
      guard entries <= limits.entries, !overflow, sum <= limits.bytes.rawValue else {
        throw Self.invalid("it has more than \(limits.entries) entries or \(limits.bytes)")
      }
      bytes = sum
      try unpack(entry, archive)
    }
  }

  /// Makes places. What stands at one and is of another kind is replaced, but never a folder's link:
  /// what is mounted must not go where an image wants it.
  ///
  /// - Throws: `imageInvalid` for an image that has what is reserved, or a link for a file's folder.
  public func add(_ places: Places) throws {
    for name in places.reserved {
      var status = stat()
      guard fstatat(folder.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) != 0 else {
        throw Self.invalid("it has /\(name), which is iorun's own")
      }
    }
    for (name, mode) in places.folders {
      try makeFolder(name, in: folder, mode: mode)
    }
    for path in places.files {
      let parts = try Self.parts(path)
      guard parts.count == 2 else { throw Self.invalid("'\(path)' is no place") }
      var status = stat()
      if fstatat(folder.descriptor, parts[0], &status, AT_SYMLINK_NOFOLLOW) != 0 {
        try makeFolder(parts[0], in: folder, mode: 0o755)
      } else if status.st_mode & S_IFMT != S_IFDIR {
        throw Self.invalid("its /\(parts[0]) is no folder")
      }
      let parent = try OpenFile(parts[0], in: folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      let isThere = fstatat(parent.descriptor, parts[1], &status, AT_SYMLINK_NOFOLLOW) == 0
      if isThere, status.st_mode & S_IFMT == S_IFREG { continue }
      try Self.check(iorun_remove_at(parent.descriptor, parts[1]), "replace", path)
      let file = try OpenFile(
        parts[1], in: parent, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
      fchmod(file.descriptor, 0o644)
    }
  }

  private func unpack(_ entry: TarEntry, _ archive: borrowing TarReader) throws {
    let parts = try Self.parts(entry.path)
    guard let name = parts.last else { return }
    let parent = try open(parts.dropLast())
    if name == ".wh..wh..opq" {
      try Self.check(iorun_empty_folder(parent.descriptor), "empty", entry.path)
      return
    }
    if name.hasPrefix(".wh.") {
      let hidden = String(name.dropFirst(4))
      guard !hidden.isEmpty, hidden != ".", hidden != ".." else {
        throw Self.invalid("a whiteout hides nothing")
      }
      try Self.check(iorun_remove_at(parent.descriptor, hidden), "remove", entry.path)
      return
    }
    switch entry.kind {
    case .folder: try makeFolder(name, in: parent, mode: entry.mode)
    case .file: try makeFile(name, in: parent, entry, archive)
    case .symbolicLink:
      guard !entry.link.isEmpty, entry.link.utf8.count < 4096 else {
        throw Self.invalid("a link leads nowhere")
      }
      try Self.check(iorun_remove_at(parent.descriptor, name), "replace", entry.path)
      try Self.check(
        symlinkat(entry.link, parent.descriptor, name) == 0 ? 0 : errno, "link", entry.path)
    case .hardLink:
      let target = try Self.parts(entry.link)
      guard let targetName = target.last, target != parts else {
        throw Self.invalid("a hard link leads nowhere")
      }
      let targetParent = try open(target.dropLast())
      try Self.check(iorun_remove_at(parent.descriptor, name), "replace", entry.path)
      // Without following: a link to a symbolic link is one itself.
      let result = linkat(targetParent.descriptor, targetName, parent.descriptor, name, 0)
      try Self.check(result == 0 ? 0 : errno, "link", entry.path)
    case .other: break
    }
  }

  // The folder of that path, made where it is missing.
  private func open(_ parts: ArraySlice<String>) throws -> OpenFile {
    let path = parts.isEmpty ? "." : parts.joined(separator: "/")
    let flags = O_RDONLY | O_DIRECTORY
    var descriptor = iorun_open_in_root(folder.descriptor, path, flags)
    if descriptor == -ENOENT, let name = parts.last {
      let above = try open(parts.dropLast())
      let result = mkdirat(above.descriptor, name, 0o755)
      try Self.check(result == 0 || errno == EEXIST ? 0 : errno, "make", path)
      descriptor = iorun_open_in_root(folder.descriptor, path, flags)
    }
    guard descriptor >= 0 else {
      throw Self.invalid("'\(path.prefix(200))' is no folder: \(Self.reason(-descriptor))")
    }
    return OpenFile(adopting: descriptor, path: folder.path + "/" + path)
  }

  private func makeFolder(_ name: String, in parent: borrowing OpenFile, mode: UInt32) throws {
    var status = stat()
    let isThere = fstatat(parent.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0
    if !isThere || status.st_mode & S_IFMT != S_IFDIR {
      try Self.check(iorun_remove_at(parent.descriptor, name), "replace", name)
      try Self.check(mkdirat(parent.descriptor, name, 0o755) == 0 ? 0 : errno, "make", name)
    }
    let made = try OpenFile(name, in: parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    // Sticky where all may write, as /tmp is: the bit itself is not kept.
    let isForAll = mode & 0o002 != 0
    fchmod(made.descriptor, mode_t(mode | 0o555 | (isForAll ? 0o1000 : 0)))
  }

  private func makeFile(
    _ name: String, in parent: borrowing OpenFile, _ entry: TarEntry,
    _ archive: borrowing TarReader
  ) throws {
    try Self.check(iorun_remove_at(parent.descriptor, name), "replace", entry.path)
    let file = try OpenFile(name, in: parent, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
    var done: UInt64 = 0
    while done < entry.size {
      let count = Int(min(entry.size - done, 1 << 20))
      let piece = try archive.read(upTo: count, at: entry.offset + done)
      guard piece.count == count else { throw Self.invalid("it ends within a file") }
      try file.write(piece)
      done += UInt64(count)
    }
    fchmod(file.descriptor, mode_t(entry.mode | 0o444))
  }

  // "./a//b/" and "/a/b" are a and b; ".." is nobody's path.
  private static func parts(_ path: String) throws -> [String] {
    let parts = path.split(separator: "/").map(String.init).filter { $0 != "." }
    guard path.utf8.count < 4096, parts.count <= 256,
      parts.allSatisfy({ $0 != ".." && $0.utf8.count <= 255 && !$0.utf8.contains(0) })
    else { throw invalid("'\(path.prefix(200))' is no path below a root") }
    return parts
  }

  private static func check(_ number: Int32, _ action: String, _ path: String) throws {
    guard number != 0 else { return }
    switch number {
    case ENOENT, ELOOP, ENOTDIR, EXDEV, EPERM, ENAMETOOLONG, EEXIST, EISDIR:
      throw invalid("cannot \(action) '\(path.prefix(200))': \(reason(number))")
    default: throw IorunError.system("cannot \(action)", path, errno: number)
    }
  }

  private static func reason(_ number: Int32) -> String { String(cString: strerror(number)) }

  private static func invalid(_ what: String) -> IorunError {
    IorunError(
      .imageInvalid, "a layer cannot be unpacked: \(what)",
      remedy: "Build or fetch the image again")
  }
}
