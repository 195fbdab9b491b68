public import Foundation
public import IorunCore

/// The head's chunks, reached over the mesh.
public struct RemoteContent: ContentEndpoint {
  private let exchange: ContentExchange

  /// Transfers through the head's exchange.
  public init(_ exchange: ContentExchange) { self.exchange = exchange }

  /// Those of `digests` that the head lacks.
  public func missing(of digests: [Digest]) async throws -> [Digest] {
    try await exchange.missing(of: digests)
  }

  /// Keeps a chunk at the head.
  public func put(_ chunk: Data) async throws -> Digest { try await exchange.put(chunk) }

  /// A chunk's bytes.
  public func get(_ digest: Digest) async throws -> Data { try await exchange.get(digest) }
}
