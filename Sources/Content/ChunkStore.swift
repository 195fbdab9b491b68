internal import Foundation
public import IorunCore
internal import IorunCrypto

/// Chunks in a folder, each a file named by its digest (`ab/abcdef…`). A chunk appears by one
/// atomic rename, so any number of threads and processes may use the same store at once. Every call
/// blocks on the disk.
public struct ChunkStore: Sendable {
  /// The folder.
  public let folder: String
  private let isDurable: Bool

  private var temporaryFolder: String { folder + "/tmp" }
  private var corruptFolder: String { folder + "/corrupt" }

  /// Opens the store in `folder`, which is made where it is missing, and removes what a crash left
  /// half written.
  ///
  /// - Parameters:
  ///   - folder: the store's own folder; the folder above it must be there.
  ///   - isDurable: whether `put` returns only once the chunk is on the disk. False for a cache.
  /// - Throws: `fileSystem`, `fileMissing` or `diskFull`.
  public init(folder: String, isDurable: Bool = true) throws {
    self.folder = folder
    self.isDurable = isDurable
    for path in [folder, temporaryFolder, corruptFolder] { try Self.makeFolder(path) }
    try removeLeftovers()
  }

  /// Whether the chunk is here. Its bytes are checked when they are read.
  public func contains(_ digest: Digest) -> Bool { access(path(of: digest), F_OK) == 0 }

  /// Those of `digests` that are not here, each once, in the order given.
  public func missing(of digests: [Digest]) -> [Digest] {
    var seen = Set<Digest>()
    return digests.filter { seen.insert($0).inserted && !contains($0) }
  }

  /// Keeps a chunk and returns its name. The same bytes twice are kept once.
  ///
  /// - Throws: `tooLarge` for more than ``Blob/chunkSize`` bytes; `diskFull`; `fileSystem`.
  @discardableResult
  public func put(_ bytes: [UInt8]) throws -> Digest {
    guard bytes.count <= Blob.chunkSize else {
      throw IorunError(
        .tooLarge, "a chunk of \(bytes.count) bytes; at most \(Blob.chunkSize) are allowed")
    }
    let digest = SHA256.digest(of: bytes)
    var status = stat()
    // A length that differs is a write that a power loss cut short: it is written again.
    if stat(path(of: digest), &status) == 0, Int64(status.st_size) == Int64(bytes.count) {
      return digest
    }
    try write(bytes, as: digest)
    return digest
  }

  /// Reads a chunk and checks it.
  ///
  /// - Throws: `notFound` where it is not here, or is damaged: it is then moved to `corrupt/`, so
  ///   that it counts as missing and can be put again.
  public func get(_ digest: Digest) throws -> [UInt8] {
    let path = path(of: digest)
    let bytes: [UInt8]
    do {
      bytes = try OpenFile(path, O_RDONLY | O_NOFOLLOW).read(upTo: Blob.chunkSize + 1)
    } catch let error as IorunError where error.code == .fileMissing {
      throw IorunError(.notFound, "the chunk \(digest) is not here", remedy: "Upload it again")
    }
    guard SHA256.digest(of: bytes) == digest else {
      rename(path, "\(corruptFolder)/\(digest)")
      throw IorunError(
        .notFound, "the chunk \(digest) is damaged and was moved to '\(corruptFolder)'",
        remedy: "Upload it again, and check the disk")
    }
    return bytes
  }

  private func subfolder(of digest: Digest) -> String {
    "\(folder)/\(String(describing: digest).prefix(2))"
  }

  private func path(of digest: Digest) -> String { "\(subfolder(of: digest))/\(digest)" }

  private func write(_ bytes: [UInt8], as digest: Digest) throws {
    try Self.makeFolder(subfolder(of: digest))
    let suffix = Base32.encode(try SecureRandom.bytes(8))
    let temporary = "\(temporaryFolder)/\(suffix)"
    do {
      let file = try OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
      // The lock tells `removeLeftovers`, here or in another process, that somebody is writing.
      guard flock(file.descriptor, LOCK_SH) == 0 else {
        throw IorunError.system("cannot lock", temporary, errno: errno)
      }
      try file.write(bytes)
      if isDurable { try file.synchronize() }
      guard rename(temporary, path(of: digest)) == 0 else {
        throw IorunError.system("cannot write", path(of: digest), errno: errno)
      }
    } catch {
      unlink(temporary)
      throw error
    }
    if isDurable {
      try OpenFile(subfolder(of: digest), O_RDONLY | O_DIRECTORY).synchronize()
      try OpenFile(folder, O_RDONLY | O_DIRECTORY).synchronize()
    }
  }

  private func removeLeftovers() throws {
    try FolderTree(root: temporaryFolder).walk { visit, _ in
      let path = "\(temporaryFolder)/\(visit.path)"
      guard visit.kind == S_IFREG, let file = try? OpenFile(path, O_RDONLY | O_NOFOLLOW),
        flock(file.descriptor, LOCK_EX | LOCK_NB) == 0
      else { return false }
      unlink(path)
      return false
    }
  }

  private static func makeFolder(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
      throw IorunError.system("cannot make the folder", path, errno: errno)
    }
  }
}
