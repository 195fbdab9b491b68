internal import Foundation
public import IorunContent
public import IorunCore
internal import IorunCrypto

/// Fetches content from the other side: only the chunks that the local store lacks, eight at a
/// time, each checked against its digest.
public struct ContentDownloader: Sendable {
  private let endpoint: any ContentEndpoint
  private let cache: ChunkStore?

  /// Makes a downloader. Chunks are looked for in `cache` first and kept there; without one they
  /// pass through a folder that is removed at the end.
  public init(from endpoint: any ContentEndpoint, cache: ChunkStore? = nil) {
    self.endpoint = endpoint
    self.cache = cache
  }

  /// Fetches the folder whose encoded manifest is `manifest` and writes it.
  ///
  /// - Parameters:
  ///   - manifest: what `ContentUploader.upload` returned.
  ///   - folder: where to write; made where it is missing, the folder above it must be there.
  ///   - progress: told of the files' bytes.
  /// - Returns: the manifest.
  /// - Throws: `malformed` for anything that is not what its digest or the manifest's rules say;
  ///   `notFound` for a chunk that the other side lacks; `diskFull`; `fileSystem`.
  @discardableResult
  public func download(
    folder manifest: Blob, into folder: String, progress: @escaping TransferProgress = { _, _ in }
  ) async throws -> Manifest {
    let bytes = try await self.bytes(of: manifest, maximum: ContentLimits.manifestSize)
    let decoded = try await Blocking.run { try ManifestCodec.decode(bytes) }
    try await download(decoded, into: folder, progress: progress)
    return decoded
  }

  /// Fetches the files of a manifest that is at hand and writes them: a rank's outputs, for
  /// example. Throws as `download(folder:into:progress:)`.
  public func download(
    _ manifest: Manifest, into folder: String, progress: @escaping TransferProgress = { _, _ in }
  ) async throws {
    try await Blocking.run { try ManifestCodec.check(manifest) }
    try await withStore(beside: folder) { store in
      do {
        try await fetchAndWrite(manifest, through: store, into: folder, progress: progress)
      } catch let error as IorunError where error.code == .notFound && cache != nil {
        // A damaged chunk in the cache shows only when it is read; the cache has put it aside by
        // now, so a second pass fetches exactly that one.
        try await fetchAndWrite(manifest, through: store, into: folder, progress: progress)
      }
    }
  }

  /// Fetches content into memory. Throws `malformed` where it is larger than `maximum`.
  public func bytes(of blob: Blob, maximum: Bytes) async throws -> [UInt8] {
    try blob.check(maximum: maximum)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(blob.size.rawValue))
    for (index, digest) in blob.chunks.enumerated() {
      let chunk = try await fetch(digest)
      guard chunk.count == blob.length(ofChunkAt: index) else { throw Self.damaged(digest) }
      bytes += chunk
    }
    return bytes
  }

  private func fetchAndWrite(
    _ manifest: Manifest, through store: ChunkStore, into folder: String,
    progress: @escaping TransferProgress
  ) async throws {
    let (lengths, missing) = try await Blocking.run {
      let lengths = Self.lengths(of: manifest)
      return (lengths, store.missing(of: Array(lengths.keys)))
    }
    let total = lengths.values.reduce(Bytes.zero) { $0 + Bytes(UInt64($1)) }
    let lacking = missing.reduce(Bytes.zero) { $0 + Bytes(UInt64(lengths[$1] ?? 0)) }
    let meter = TransferMeter(done: total - lacking, total: total, progress: progress)
    try await missing.forEach(inFlight: TransferLimits.chunksInFlight) { digest in
      let bytes = try await fetch(digest)
      try await Blocking.run { _ = try store.put(bytes) }
      meter.add(bytes.count)
    }
    try await Blocking.run {
      try FolderWriter.write(manifest, into: folder) { try store.get($0) }
    }
  }

  private func fetch(_ digest: Digest) async throws -> [UInt8] {
    let bytes = [UInt8](try await endpoint.get(digest))
    guard SHA256.digest(of: bytes) == digest else { throw Self.damaged(digest) }
    return bytes
  }

  /// Runs `body` with the cache, or with a store beside `folder` (the same disk) that is removed
  /// at the end, however it ends.
  private func withStore(
    beside folder: String, _ body: (ChunkStore) async throws -> Void
  ) async throws {
    if let cache { return try await body(cache) }
    let path = "\(folder).\(Base32.encode(try SecureRandom.bytes(8))).chunks"
    let store = try await Blocking.run { try ChunkStore(folder: path, isDurable: false) }
    let result: Result<Void, any Error>
    do {
      result = .success(try await body(store))
    } catch {
      result = .failure(error)
    }
    // In a task of its own: a cancelled one would leave the folder behind.
    await Task.detached {
      _ = try? await Blocking.run { try FileManager.default.removeItem(atPath: path) }
    }.value
    try result.get()
  }

  private static func lengths(of manifest: Manifest) -> [Digest: Int] {
    var lengths: [Digest: Int] = [:]
    for entry in manifest.entries {
      guard case .file(let content, _) = entry.kind else { continue }
      for (index, digest) in content.chunks.enumerated() {
        lengths[digest] = content.length(ofChunkAt: index)
      }
    }
    return lengths
  }

  private static func damaged(_ digest: Digest) -> IorunError {
    IorunError(
      .malformed, "the other side sent other bytes than those of the chunk \(digest)",
      remedy: "Try again; if it stays so, the other side's disk is damaged")
  }
}
