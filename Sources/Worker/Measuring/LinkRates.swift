internal import Foundation
internal import IorunContent
internal import IorunContract
internal import IorunCore

/// How fast bytes go from this machine to its head and back, as files of jobs do: chunks through the
/// mesh, eight at a time. What comes out is the least of line, both machines and the head's disk.
public struct LinkRates: Sendable, Hashable {
  /// Bits a second from the head.
  public var downloadBitsPerSecond: UInt64
  /// Bits a second to the head.
  public var uploadBitsPerSecond: UInt64

  private static let mostChunks = 16
  private static let atOnce = 8
  /// Each direction takes about this: more chunks go only where there is time left.
  private static let patience = Duration.milliseconds(500)
  private static let mostRounds = 16

  /// Sends and fetches 256 KiB to some ten MiB each way, in about a second. The chunks are the same at
  /// every node, so the head keeps 4 MiB for all of them. Throws what the transfer throws.
  static func measure(_ endpoint: some ContentEndpoint) async throws -> LinkRates {
    let chunks = (0..<mostChunks).map(chunk)
    var sent: [Digest] = []
    let up = try await rate(most: mostChunks) { count in
      sent = try await inTurn(chunks.prefix(count)) { try await endpoint.put($0) }
    }
    let known = sent
    let down = try await rate(most: known.count) { count in
      _ = try await inTurn(known.prefix(count)) { try await endpoint.get($0) }
    }
    return LinkRates(downloadBitsPerSecond: down, uploadBitsPerSecond: up)
  }

  /// The best of some rounds, each of twice as many chunks as the one before.
  private static func rate(most: Int, _ round: (Int) async throws -> Void) async throws -> UInt64 {
    var (count, taken, best) = (1, Duration.zero, 0.0)
    for _ in 0..<mostRounds where taken < patience {
      let start = ContinuousClock.now
      try await round(count)
      let time = ContinuousClock.now - start
      taken += time
      best = max(best, Double(count * Blob.chunkSize * 8) / max(time / .seconds(1), 1e-6))
      count = min(count * 2, most)
    }
    return UInt64(best)
  }

  private static func inTurn<Element: Sendable, Output: Sendable>(
    _ elements: some Sequence<Element>, _ body: @escaping @Sendable (Element) async throws -> Output
  ) async throws -> [Output] {
    try await withThrowingTaskGroup(of: Output.self) { group in
      var outputs: [Output] = []
      var running = 0
      for element in elements {
        if running >= atOnce, let output = try await group.next() {
          outputs.append(output)
          running -= 1
        }
        group.addTask { try await body(element) }
        running += 1
      }
      for try await output in group { outputs.append(output) }
      return outputs
    }
  }

  /// Bytes that nothing on the way makes shorter (xorshift64, Marsaglia 2003).
  private static func chunk(_ number: Int) -> Data {
    var state = UInt64(number + 1) &* 0x9e37_79b9_7f4a_7c15
    var words: [UInt64] = []
    words.reserveCapacity(Blob.chunkSize / 8)
    for _ in 0..<Blob.chunkSize / 8 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      words.append(state)
    }
    return words.withUnsafeBytes { Data($0) }
  }
}
