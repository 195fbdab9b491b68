internal import Foundation
public import IorunCore
internal import IorunCrypto

/// A device's end of a download: digests the parts in their order, whatever order they come in. A
/// value: the caller moves the bytes.
public struct StreamReceiver: Sendable {
  /// Parts that may come before one that is missing: what a sender has under way at once.
  public static let window = 32

  /// What is received.
  public let offer: StreamProbe.Offer
  private var digest = RunningDigest()
  private var next = 0
  private var early: [Int: [UInt8]] = [:]

  /// Begins to receive. Throws `malformed` for an upload, and for a size out of bounds.
  public init(_ offer: StreamProbe.Offer) throws {
    try offer.check(.download)
    self.offer = offer
  }

  /// Takes the `number`-th ``StreamProbe/blocksPerSeal`` blocks, or the last ones.
  ///
  /// - Throws: `malformed` for a part that was taken before, is not the offer's, has another length,
  ///   or is further ahead than ``window``.
  public mutating func take(part number: Int, _ bytes: [UInt8]) throws {
    let blocks = try offer.blocks(inPart: number)
    guard bytes.count == blocks * KeyedStream.blockByteCount, number >= next,
      number < next + Self.window, early[number] == nil
    else {
      throw IorunError(.malformed, "part \(number) of a stream, of which part \(next) is next")
    }
    early[number] = bytes
    while let part = early.removeValue(forKey: next) {
      for start in stride(from: 0, to: part.count, by: KeyedStream.blockByteCount) {
        digest.update(Array(part[start..<start + KeyedStream.blockByteCount]))
      }
      next += 1
    }
  }

  /// The device's word for all that came. Throws `malformed` where parts are missing, and what sealing
  /// throws.
  public func receipt(key: Digest, _ signer: ProofSigner) throws -> Seal {
    guard next == offer.parts else {
      throw IorunError(.malformed, "the key of a stream of which part \(next) has not come")
    }
    return try offer.receipt(digest.digest, key: key, signer)
  }
}

extension StreamProbe.Offer {
  /// How many parts of ``StreamProbe/blocksPerSeal`` blocks it has, the last one perhaps smaller.
  public var parts: Int {
    (blocks + StreamProbe.blocksPerSeal - 1) / StreamProbe.blocksPerSeal
  }

  /// How many blocks a part has. Throws `malformed` for one that it has not.
  func blocks(inPart number: Int) throws -> Int {
    try Limit.check(number, in: 0...parts - 1, "the number of a part")
    return min(StreamProbe.blocksPerSeal, blocks - number * StreamProbe.blocksPerSeal)
  }

  /// Refuses what no verifier asks for. Throws `malformed`.
  func check(_ direction: StreamProbe.Direction) throws {
    try Limit.check(blocks, in: StreamProbe.allowedBlocks, "blocks")
    guard self.direction == direction else {
      throw IorunError(.malformed, "a stream that goes the other way")
    }
  }

  /// A part of an upload, and the device's word for it.
  ///
  /// - Throws: `malformed` for a part that it has not, and what sealing throws.
  public func upload(part number: Int, _ signer: ProofSigner) throws -> StreamProbe.Part {
    try check(.upload)
    let blocks = try blocks(inPart: number)
    let stream = uploadStream
    var bytes: [UInt8] = []
    bytes.reserveCapacity(blocks * KeyedStream.blockByteCount)
    for block in 0..<blocks {
      bytes += try stream.block(UInt64(number * StreamProbe.blocksPerSeal + block))
    }
    let seal = try seal(part: number, digest: SHA256.digest(of: bytes), signer)
    return StreamProbe.Part(bytes: Data(bytes), seal: seal)
  }
}
