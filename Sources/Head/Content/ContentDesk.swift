internal import Foundation
internal import IorunContent
internal import IorunContract
internal import IorunCore

/// Chunks for clients and nodes. Content is shared by its digest: who knows a digest may read it.
struct ContentDesk: ContentService {
  let chunks: ChunkStore
  let authoriser: Authoriser
  let reserve: DiskReserve

  private static let mostDigests = 4096

  func missing(of digests: [Digest], caller: PeerID) async throws -> [Digest] {
    try authoriser.check(caller, may: .moveContent)
    guard digests.count <= Self.mostDigests else {
      throw IorunError(
        .tooLarge, "\(digests.count) digests at once; at most \(Self.mostDigests) are taken")
    }
    return try await missing(of: digests)
  }

  /// The same for the head itself, without a bound.
  func missing(of digests: [Digest]) async throws -> [Digest] {
    let chunks = chunks
    return try await Blocking.run { chunks.missing(of: digests) }
  }

  func put(_ chunk: Data, caller: PeerID) async throws -> Digest {
    try authoriser.check(caller, may: .moveContent)
    let (chunks, reserve) = (chunks, reserve)
    return try await Blocking.run {
      try reserve.check(adding: chunk.count)
      return try chunks.put([UInt8](chunk))
    }
  }

  func get(_ digest: Digest, caller: PeerID) async throws -> Data {
    try authoriser.check(caller, may: .moveContent)
    let chunks = chunks
    return try await Blocking.run { Data(try chunks.get(digest)) }
  }
}
