internal import IorunContent
internal import IorunCore
internal import Synchronization

/// What ranks left behind.
extension ContentDownloader {
  /// Fetches and reads the lists of several ranks, a few at a time.
  ///
  /// - Returns: all files, by rank and path.
  /// - Throws: `malformed` for a list that breaks the rules or is not as long as it was said to
  ///   be; what the endpoint throws.
  public func files(of ranks: [RankOutputs]) async throws -> [OutputFile] {
    let byRank = Mutex<[Int: [OutputFile]]>([:])
    try await ranks.forEach(inFlight: TransferLimits.chunksInFlight) { outputs in
      let files = try await files(of: outputs)
      byRank.withLock { $0[outputs.rank] = files }
    }
    return byRank.withLock { $0.sorted { $0.key < $1.key }.flatMap(\.value) }
  }

  private func files(of outputs: RankOutputs) async throws -> [OutputFile] {
    try outputs.list.check()
    let bytes = try await bytes(of: outputs.list.content, maximum: ContentLimits.manifestSize)
    let files = try await Blocking.run { try OutputListCodec.decode(bytes, rank: outputs.rank) }
    guard files.count == outputs.list.count else {
      throw IorunError(
        .malformed, "rank \(outputs.rank) left \(files.count) outputs, not \(outputs.list.count)")
    }
    return files
  }
}
