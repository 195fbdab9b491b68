internal import Foundation
public import IorunCore
internal import IorunCrypto

/// Makes the files of a ``Manifest`` below a folder, and never anywhere else, whatever the manifest
/// says and whatever already stands there.
public enum FolderWriter {
  /// Writes every entry; blocks on the disk. The folder is made where it is missing (the one above
  /// it must be there). A file or link at an entry's path is replaced; other files stay.
  ///
  /// - Parameters:
  ///   - manifest: what to make; checked first.
  ///   - folder: where.
  ///   - chunk: gives a chunk's bytes, which are checked against the digest.
  /// - Throws: `malformed` for a manifest or a chunk that is not what it should be; `fileSystem`
  ///   where a symbolic link or a file stands in the place of a folder; `diskFull`; whatever
  ///   `chunk` throws. What was written before the error stays.
  public static func write(
    _ manifest: Manifest, into folder: String, chunk: (Digest) throws -> [UInt8]
  ) throws {
    try ManifestCodec.check(manifest)
    guard mkdir(folder, 0o755) == 0 || errno == EEXIST else {
      throw IorunError.system("cannot make the folder", folder, errno: errno)
    }
    let tree = FolderTree(root: folder)
    for entry in manifest.entries {
      guard let parts = RelativePath.parts(entry.path), let name = parts.last else { continue }
      let parent = try tree.openFolder(parts.dropLast(), creates: true)
      try write(entry, as: name, in: parent, chunk: chunk)
    }
  }

  /// Writes beside the entry's name and renames, which replaces a file or a link in one step and
  /// never writes through a link.
  private static func write(
    _ entry: Manifest.Entry, as name: String, in parent: borrowing OpenFile,
    chunk: (Digest) throws -> [UInt8]
  ) throws {
    let temporary = ".iorun-\(Base32.encode(try SecureRandom.bytes(8)))"
    do {
      switch entry.kind {
      case .file(let content, let isExecutable):
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        let file = try OpenFile(temporary, in: parent, flags, mode: 0o600)
        try write(content, to: file, path: entry.path, chunk: chunk)
        guard fchmod(file.descriptor, isExecutable ? 0o755 : 0o644) == 0 else {
          throw IorunError.system("cannot set the mode of", file.path, errno: errno)
        }
      case .symbolicLink(let target):
        guard symlinkat(target, parent.descriptor, temporary) == 0 else {
          throw IorunError.system("cannot make the link", "\(parent.path)/\(name)", errno: errno)
        }
      }
      guard renameat(parent.descriptor, temporary, parent.descriptor, name) == 0 else {
        throw IorunError.system("cannot write", "\(parent.path)/\(name)", errno: errno)
      }
    } catch {
      unlinkat(parent.descriptor, temporary, 0)
      throw error
    }
  }

  private static func write(
    _ content: Blob, to file: borrowing OpenFile, path: String, chunk: (Digest) throws -> [UInt8]
  ) throws {
    for (index, digest) in content.chunks.enumerated() {
      let bytes = try chunk(digest)
      guard bytes.count == content.length(ofChunkAt: index), SHA256.digest(of: bytes) == digest
      else {
        throw IorunError(
          .malformed, "chunk \(index) of '\(path)' is not what its digest says",
          remedy: "Try again; if it stays so, the sender's copy is damaged")
      }
      try file.write(bytes)
    }
  }
}
