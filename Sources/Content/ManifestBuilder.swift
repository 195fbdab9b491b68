internal import Foundation
internal import IorunCore

/// Reads a working folder into a ``Manifest``.
public enum ManifestBuilder {
  /// Reads every file below `folder` once. Blocks on the disk.
  ///
  /// Left out are `.git`, `.build*`, `__pycache__`, `.iorun`, what the folder's `.iorunignore`
  /// names, and folders that hold nothing. A symbolic link is kept as a link.
  ///
  /// - Parameters:
  ///   - folder: the folder.
  ///   - patterns: more patterns to leave out, in the format of `.iorunignore`.
  /// - Throws: `fileMissing` where there is no such folder; `specInvalid` for a link that leads out
  ///   of it, a socket, pipe or device, a name that is not UTF-8, or more than ``ContentLimits``
  ///   allows; `fileSystem` for a file that cannot be read.
  public static func build(
    folder: String, ignoring patterns: [String] = []
  ) throws -> FolderSnapshot {
    let tree = FolderTree(root: folder)
    var rules = try IgnoreRules(patterns)
    try rules.readFile(in: tree)
    var source = ChunkSource(tree: tree)
    var entries: [Manifest.Entry] = []
    var total = Bytes.zero

    try tree.walk { visit, parent in
      guard let parts = RelativePath.parts(visit.path) else {
        throw refusal(
          folder, visit.path, "has a path of more than \(ContentLimits.pathBytes) bytes")
      }
      let isFolder = visit.kind == S_IFDIR
      if rules.ignores(parts, isFolder: isFolder) { return false }
      if isFolder { return true }
      guard entries.count < ContentLimits.entries else {
        throw IorunError(
          .specInvalid, "'\(folder)' holds more than \(ContentLimits.entries) files",
          remedy: "List what the job does not need in .iorunignore, or pack small files together")
      }
      switch visit.kind {
      case S_IFREG:
        let file = try FolderTree.openFile(visit.name, in: parent)
        let blob = try Chunker.blob(of: file, maximum: ContentLimits.folderSize - total)
        total = total + blob.size
        source.add(blob, at: visit.path)
        let isExecutable = visit.status.st_mode & 0o100 != 0
        entries.append(
          .init(path: visit.path, kind: .file(content: blob, executable: isExecutable)))
      case S_IFLNK:
        let target = try FolderTree.linkTarget(visit.name, in: parent)
        guard RelativePath.staysBelow(linkAt: visit.path, target: target) else {
          throw refusal(
            folder, visit.path, "is a symbolic link to '\(target)', which leads out of the folder")
        }
        entries.append(.init(path: visit.path, kind: .symbolicLink(target: target)))
      default:
        throw refusal(folder, visit.path, "is a socket, a pipe or a device")
      }
      return false
    }
    entries.sort { RelativePath.isOrdered($0.path, before: $1.path) }
    return FolderSnapshot(manifest: Manifest(entries: entries), source: source)
  }

  /// Reads one executable into a manifest of its own, in which it stands at `place`. Blocks on the
  /// disk.
  ///
  /// - Throws: `fileMissing` or `fileSystem` where it cannot be read.
  public static func build(executable path: String, at place: String) throws -> FolderSnapshot {
    let url = URL(fileURLWithPath: path)
    var source = ChunkSource(tree: FolderTree(root: url.deletingLastPathComponent().path))
    let blob = try Chunker.blob(ofFile: path)
    source.add(blob, at: url.lastPathComponent)
    let entry = Manifest.Entry(path: place, kind: .file(content: blob, executable: true))
    return FolderSnapshot(manifest: Manifest(entries: [entry]), source: source)
  }

  private static func refusal(_ folder: String, _ path: String, _ what: String) -> IorunError {
    IorunError(
      .specInvalid, "'\(path)' in '\(folder)' \(what)",
      remedy: "Remove it, or list it in .iorunignore")
  }
}
