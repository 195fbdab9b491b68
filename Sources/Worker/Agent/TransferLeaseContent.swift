public import IorunContent
public import IorunContract
import IorunCore

/// A rank's folder and outputs by way of the head's chunks: the `LeaseContent` of real nodes.
public struct TransferLeaseContent: LeaseContent {
  private let endpoint: any ContentEndpoint
  private let cache: ChunkStore?

  /// Moves content to and from `endpoint`. Chunks that come in are looked for in `cache` first and
  /// kept there, so that the ranks of one node fetch a folder once.
  public init(endpoint: any ContentEndpoint, cache: ChunkStore? = nil) {
    self.endpoint = endpoint
    self.cache = cache
  }

  /// Fetches what is missing and writes the files. Throws as `ContentDownloader` does.
  public func stage(_ workingFolder: Blob, into folder: String) async throws {
    var manifest = try await manifest(workingFolder)
    manifest.entries.removeAll { $0.path.hasPrefix(Self.layout) }
    try await downloader.download(manifest, into: folder)
  }

  /// Fetches the layout's files. Throws as `ContentDownloader` does, and `notFound` where there are none.
  public func stageImage(_ workingFolder: Blob, into folder: String) async throws {
    var manifest = try await manifest(workingFolder)
    manifest.entries = manifest.entries.compactMap { entry in
      guard entry.path.hasPrefix(Self.layout) else { return nil }
      return Manifest.Entry(
        path: String(entry.path.dropFirst(Self.layout.count)), kind: entry.kind)
    }
    guard !manifest.entries.isEmpty else {
      throw IorunError(
        .notFound, "no image came with the job", remedy: "Hand the job in with `iorun submit`")
    }
    try await downloader.download(manifest, into: folder)
  }

  private static let layout = ImageReference.layoutFolder + "/"

  private var downloader: ContentDownloader { ContentDownloader(from: endpoint, cache: cache) }

  private func manifest(_ folder: Blob) async throws -> Manifest {
    let bytes = try await downloader.bytes(of: folder, maximum: ContentLimits.manifestSize)
    return try await Blocking.run { try ManifestCodec.decode(bytes) }
  }

  /// Finds the files, sends what the head lacks, then their list. Throws as `OutputGlob`,
  /// `OutputListCodec` and `ContentUploader` do.
  public func collect(_ patterns: [String], from folder: String) async throws -> OutputList? {
    let found = try await Blocking.run { try OutputGlob(patterns).find(below: folder) }
    if found.files.isEmpty { return nil }
    let uploader = ContentUploader(to: endpoint)
    try await uploader.upload(found.source)
    let list = try await Blocking.run { try OutputListCodec.encode(found.files) }
    return OutputList(count: found.files.count, content: try await uploader.upload(list))
  }
}
