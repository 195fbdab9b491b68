public import IorunCore

/// A run of bytes kept as content-addressed chunks: the chunks' digests in order. Equal bytes have
/// equal chunks, so only what the other side lacks is ever sent.
public struct Blob: Hashable, Codable, Sendable {
  /// How many bytes all chunks have together.
  public var size: Bytes
  /// SHA-256 of each chunk, in order. Every chunk but the last has `chunkSize` bytes.
  public var chunks: [Digest]

  /// The size of a chunk: large enough that a digest is small beside it, small enough to travel
  /// as one message of the bulk class.
  public static let chunkSize = 256 * 1024

  /// Describes a blob.
  public init(size: Bytes, chunks: [Digest]) {
    self.size = size
    self.chunks = chunks
  }
}
