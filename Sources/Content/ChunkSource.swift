public import IorunCore
internal import IorunCrypto

/// Where each chunk of a folder can be read again: file and offset, so that an upload needs no
/// second copy of the data.
public struct ChunkSource: Sendable {
  private struct Location {
    let file: Int
    let offset: UInt64
    let length: Int
  }

  private let tree: FolderTree
  private var files: [String] = []
  private var locations: [Digest: Location] = [:]

  /// All chunks, each once, in the order in which they lie in the files.
  public private(set) var digests: [Digest] = []

  /// The bytes of all chunks together, each counted once.
  public private(set) var size = Bytes.zero

  init(tree: FolderTree) { self.tree = tree }

  /// Learns the chunks of the file at `path`, which is below the folder.
  mutating func add(_ blob: Blob, at path: String) {
    let file = files.count
    files.append(path)
    for (index, digest) in blob.chunks.enumerated() where locations[digest] == nil {
      let length = blob.length(ofChunkAt: index)
      let offset = UInt64(index) * UInt64(Blob.chunkSize)
      locations[digest] = Location(file: file, offset: offset, length: length)
      digests.append(digest)
      size = size + Bytes(UInt64(length))
    }
  }

  /// How many bytes the chunk has; `nil` where it is none of this folder's.
  public func length(of digest: Digest) -> Int? { locations[digest]?.length }

  /// Reads a chunk and checks it. May block on the disk. Throws `notFound` for a chunk of another
  /// folder, `wrongState` where the file has changed since it was read first.
  public func read(_ digest: Digest) throws -> [UInt8] {
    guard let location = locations[digest] else {
      throw IorunError(.notFound, "no file of '\(tree.root)' has the chunk \(digest)")
    }
    let path = files[location.file]
    let bytes = try tree.openFile(path).read(upTo: location.length, at: location.offset)
    guard SHA256.digest(of: bytes) == digest else {
      throw IorunError(
        .wrongState, "'\(tree.root)/\(path)' changed while it was being uploaded",
        remedy: "Try again once nothing writes to it")
    }
    return bytes
  }
}
