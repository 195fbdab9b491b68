import Foundation
import IorunContract
import IorunCore
import IorunCrypto

/// The other side of a transfer, in memory, with faults on demand.
actor MemoryEndpoint: ContentEndpoint {
  var chunks: [Digest: Data] = [:]
  var puts = 0
  var gets = 0
  var questions: [Int] = []
  var mostInFlight = 0
  private var inFlight = 0
  private var damaged = Set<Digest>()

  func missing(of digests: [Digest]) async throws -> [Digest] {
    questions.append(digests.count)
    return digests.filter { chunks[$0] == nil }
  }

  func put(_ chunk: Data) async throws -> Digest {
    await pass()
    puts += 1
    let digest = SHA256.digest(of: chunk)
    chunks[digest] = chunk
    return digest
  }

  func get(_ digest: Digest) async throws -> Data {
    await pass()
    gets += 1
    guard var chunk = chunks[digest] else { throw IorunError(.notFound, "no chunk \(digest)") }
    if damaged.contains(digest), !chunk.isEmpty { chunk[chunk.startIndex] ^= 1 }
    return chunk
  }

  func damage(_ digest: Digest) { damaged.insert(digest) }
  func remove(_ digest: Digest) { chunks[digest] = nil }

  /// Lets other calls overlap with this one.
  private func pass() async {
    inFlight += 1
    mostInFlight = max(mostInFlight, inFlight)
    for _ in 0..<20 { await Task.yield() }
    inFlight -= 1
  }
}
