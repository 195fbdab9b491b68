/// A folder as it was read: what it holds, and where its chunks can be read again.
public struct FolderSnapshot: Sendable {
  /// What the folder holds.
  public let manifest: Manifest
  /// Where its chunks are.
  public let source: ChunkSource

  /// Those of its files that are wanted, to be written below `folder` on the other side.
  public func placed(
    below folder: String, where isWanted: (Manifest.Entry) -> Bool
  ) -> FolderSnapshot {
    let entries = manifest.entries.filter(isWanted).map {
      Manifest.Entry(path: folder + "/" + $0.path, kind: $0.kind)
    }
    return FolderSnapshot(manifest: Manifest(entries: entries), source: source)
  }
}
