/// A folder as it was read: what it holds, and where its chunks can be read again.
public struct FolderSnapshot: Sendable {
  /// What the folder holds.
  public let manifest: Manifest
  /// Where its chunks are.
  public let source: ChunkSource
}
