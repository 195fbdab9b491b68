public import Foundation
public import IorunCore

/// The other side of a transfer: `ContentService` as one caller sees it. The client and the node
/// stand in front of the head's distributed actor with this, tests in front of a store in memory.
public protocol ContentEndpoint: Sendable {
  /// Those of `digests` (at most 4,096) that the other side does not have.
  func missing(of digests: [Digest]) async throws -> [Digest]
  /// Keeps a chunk of at most `Blob.chunkSize` bytes; durable once this returns. Gives the digest
  /// that the other side computed.
  func put(_ chunk: Data) async throws -> Digest
  /// A chunk's bytes. Throws `notFound` where the other side does not have it.
  func get(_ digest: Digest) async throws -> Data
}
