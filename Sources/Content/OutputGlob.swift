internal import Foundation
internal import IorunCore

/// The output patterns of a job (`model.bin`, `checkpoints/*`, `**/*.json`), and the files below a
/// rank's working folder that they name. A pattern that matches a folder names all files in it.
public struct OutputGlob: Sendable {
  /// One file that a pattern names.
  public struct File: Hashable, Sendable {
    /// The path below the folder.
    public let path: String
    /// Its bytes.
    public let content: Blob
    /// Whether its owner may execute it.
    public let executable: Bool
  }

  /// What the patterns found.
  public struct Found: Sendable {
    /// The files, sorted by path.
    public let files: [File]
    /// Where their chunks are.
    public let source: ChunkSource
    /// The patterns that named no file.
    public let unmatched: [String]
  }

  private let patterns: [(text: String, glob: Glob)]

  /// Reads patterns. Throws `specInvalid` for one that is empty, absolute, too long or has a part
  /// `..`.
  public init(_ patterns: [String]) throws {
    self.patterns = try patterns.map { text in
      let trimmed = text.hasSuffix("/") ? String(text.dropLast()) : text
      let relative = trimmed.hasPrefix("./") ? String(trimmed.dropFirst(2)) : trimmed
      guard RelativePath.parts(relative) != nil else {
        throw IorunError(
          .specInvalid,
          "outputs has '\(text.prefix(200))', which is not a path below the job's "
            + "working folder",
          remedy: "Write it relative to the working folder and without '..'")
      }
      return (text, Glob(relative))
    }
  }

  /// True where a pattern names the file at `path`.
  public func matches(_ path: String) -> Bool {
    guard let parts = RelativePath.parts(path) else { return false }
    return patterns.contains { Self.matches($0.glob, parts) }
  }

  /// Finds and reads the files; blocks on the disk. A symbolic link to a regular file below the
  /// folder counts as that file; every other link, socket, pipe or device is passed over.
  ///
  /// - Throws: `specInvalid` for more than ``ContentLimits`` allows; `fileSystem`.
  public func find(below folder: String) throws -> Found {
    let tree = FolderTree(root: folder)
    var source = ChunkSource(tree: tree)
    var files: [File] = []
    var unmatched = Set(patterns.indices)
    var total = Bytes.zero
    var visited = 0

    try tree.walk { visit, _ in
      visited += 1
      guard visited <= ContentLimits.visitedNames else {
        throw IorunError(
          .specInvalid, "the job left more than \(ContentLimits.visitedNames) files behind",
          remedy: "Remove temporary files at the end of the job")
      }
      guard let parts = RelativePath.parts(visit.path) else { return false }
      if visit.kind == S_IFDIR { return true }
      let named = patterns.indices.filter { Self.matches(patterns[$0].glob, parts) }
      guard !named.isEmpty, let path = Self.regularFile(visit, in: folder) else { return false }
      guard files.count < ContentLimits.entries else {
        throw IorunError(
          .specInvalid, "outputs names more than \(ContentLimits.entries) files",
          remedy: "Name fewer files, or pack them together at the end of the job")
      }
      let file = try tree.openFile(path)
      let blob = try Chunker.blob(of: file, maximum: ContentLimits.folderSize - total)
      total = total + blob.size
      source.add(blob, at: path)
      let isExecutable = try file.status().st_mode & 0o100 != 0
      files.append(File(path: visit.path, content: blob, executable: isExecutable))
      unmatched.subtract(named)
      return false
    }
    files.sort { RelativePath.isOrdered($0.path, before: $1.path) }
    return Found(
      files: files, source: source, unmatched: unmatched.sorted().map { patterns[$0].text })
  }

  private static func matches(_ glob: Glob, _ parts: [String]) -> Bool {
    parts.indices.contains { glob.matches(Array(parts[...$0])) }
  }

  /// The path below `folder` of the regular file that the visit leads to; `nil` where there is none
  /// or it lies elsewhere.
  private static func regularFile(_ visit: FolderTree.Visit, in folder: String) -> String? {
    if visit.kind == S_IFREG { return visit.path }
    guard visit.kind == S_IFLNK, let root = resolved(folder),
      let target = resolved("\(folder)/\(visit.path)"), target.hasPrefix(root + "/")
    else { return nil }
    var status = stat()
    guard lstat(target, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return String(target.dropFirst(root.count + 1))
  }

  private static func resolved(_ path: String) -> String? {
    guard let pointer = realpath(path, nil) else { return nil }
    defer { free(pointer) }
    return String(validatingCString: pointer)
  }
}
