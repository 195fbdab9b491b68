internal import Foundation
internal import IorunContent
internal import IorunCore

/// The chunks that a node has fetched: its ranks fetch a folder once, and a job that comes again
/// fetches only what changed.
enum ChunkCache {
  /// A cache that has grown beyond this is emptied when the node starts.
  static let limit = Bytes.gibi(10)

  /// Opens the cache in a node's state folder.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  static func open(in stateFolder: String) async throws -> ChunkStore {
    let folder = stateFolder + "/chunks"
    return try await Blocking.run {
      if size(of: folder) > limit { try FileManager.default.removeItem(atPath: folder) }
      return try ChunkStore(folder: folder, isDurable: false)
    }
  }

  private static func size(of folder: String) -> Bytes {
    let keys: Set<URLResourceKey> = [.fileSizeKey]
    let files = FileManager.default.enumerator(
      at: URL(fileURLWithPath: folder), includingPropertiesForKeys: Array(keys))
    var size = Bytes.zero
    while let file = files?.nextObject() as? URL {
      // A file that is gone meanwhile takes no room.
      let bytes = (try? file.resourceValues(forKeys: keys))?.fileSize ?? 0
      size = size + Bytes(UInt64(max(0, bytes)))
    }
    return size
  }
}
