internal import Foundation
public import IorunContent
public import IorunCore

/// Sends content to the other side: only the chunks it lacks, eight at a time.
public struct ContentUploader: Sendable {
  private let endpoint: any ContentEndpoint

  /// Makes an uploader.
  public init(to endpoint: any ContentEndpoint) { self.endpoint = endpoint }

  /// Sends a folder and then its encoded manifest.
  ///
  /// - Parameters:
  ///   - snapshot: the folder, as `ManifestBuilder` read it.
  ///   - progress: told of the files' bytes; the manifest's own are not counted.
  /// - Returns: the blob of the encoded manifest, which stands for the folder from then on.
  /// - Throws: `wrongState` where a file changed since it was read; what the endpoint throws.
  public func upload(
    _ snapshot: FolderSnapshot, progress: @escaping TransferProgress = { _, _ in }
  ) async throws -> Blob {
    try await upload(snapshot.source, progress: progress)
    let manifest = snapshot.manifest
    return try await upload(Blocking.run { try ManifestCodec.encode(manifest) })
  }

  /// Sends the chunks of a source: what `OutputGlob` found, for example.
  public func upload(
    _ source: ChunkSource, progress: @escaping TransferProgress = { _, _ in }
  ) async throws {
    let missing = try await missing(of: source.digests)
    let lacking = missing.reduce(Bytes.zero) { $0 + Bytes(UInt64(source.length(of: $1) ?? 0)) }
    let meter = TransferMeter(
      done: source.size - lacking, total: source.size, progress: progress)
    try await missing.forEach(inFlight: TransferLimits.chunksInFlight) { digest in
      let bytes = try await Blocking.run { try source.read(digest) }
      try await put(bytes, as: digest)
      meter.add(bytes.count)
    }
  }

  /// Sends bytes from memory.
  public func upload(_ bytes: [UInt8]) async throws -> Blob {
    let blob = try await Blocking.run { Chunker.blob(of: bytes) }
    let missing = Set(try await missing(of: blob.chunks))
    var sent = Set<Digest>()
    let pieces = zip(blob.chunks, Chunker.chunks(of: bytes)).filter {
      missing.contains($0.0) && sent.insert($0.0).inserted
    }
    try await pieces.forEach(inFlight: TransferLimits.chunksInFlight) { digest, piece in
      try await put(piece, as: digest)
    }
    return blob
  }

  private func missing(of digests: [Digest]) async throws -> [Digest] {
    var missing: [Digest] = []
    for start in stride(from: 0, to: digests.count, by: TransferLimits.digestsInQuestion) {
      let end = min(start + TransferLimits.digestsInQuestion, digests.count)
      let asked = Array(digests[start..<end])
      let answer = try await endpoint.missing(of: asked)
      // Only what was asked for counts, once: the answer comes from the network.
      let lacking = Set(answer)
      missing += asked.filter(lacking.contains)
    }
    return missing
  }

  private func put(_ bytes: [UInt8], as digest: Digest) async throws {
    let kept = try await endpoint.put(Data(bytes))
    guard kept == digest else {
      throw IorunError(
        .malformed, "the other side kept the chunk \(digest) as \(kept)",
        remedy: "Try again; if it stays so, report it")
    }
  }
}
