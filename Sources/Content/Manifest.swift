public import IorunCore

/// The files below one folder: what `ManifestBuilder` reads and `FolderWriter` makes again.
public struct Manifest: Hashable, Codable, Sendable {
  /// One file or symbolic link.
  public struct Entry: Hashable, Codable, Sendable {
    /// What stands at the path.
    public enum Kind: Hashable, Codable, Sendable {
      /// A regular file.
      case file(content: Blob, executable: Bool)
      /// A symbolic link whose target stays below the folder.
      case symbolicLink(target: String)
    }

    /// The path below the folder: `/` between parts, never absolute, never with `.` or `..`.
    public var path: String
    /// What stands there.
    public var kind: Kind

    /// Describes one entry.
    public init(path: String, kind: Kind) {
      self.path = path
      self.kind = kind
    }
  }

  /// All entries, sorted by path, each path once.
  public var entries: [Entry]

  /// Describes a folder.
  public init(entries: [Entry]) { self.entries = entries }

  /// Both folders in one; where both have a path, that of `other` stands.
  public func merging(_ other: Manifest) -> Manifest {
    // As bytes: `String` takes names that merely look alike for equal.
    var byPath: [[UInt8]: Entry] = [:]
    for entry in entries + other.entries { byPath[Array(entry.path.utf8)] = entry }
    return Manifest(
      entries: byPath.values.sorted { RelativePath.isOrdered($0.path, before: $1.path) })
  }

  /// The bytes of all files together.
  public var totalSize: Bytes {
    entries.reduce(.zero) { sum, entry in
      guard case .file(let content, _) = entry.kind else { return sum }
      return sum + content.size
    }
  }

  /// The digests of all chunks, each once.
  public var chunks: Set<Digest> {
    Set(
      entries.flatMap { entry -> [Digest] in
        guard case .file(let content, _) = entry.kind else { return [] }
        return content.chunks
      })
  }
}
