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
    try await ContentDownloader(from: endpoint, cache: cache).download(
      folder: workingFolder, into: folder)
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
