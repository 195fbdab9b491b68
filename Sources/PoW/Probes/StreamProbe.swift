public import Foundation
public import IorunCore
internal import IorunCrypto

/// How fast bytes reach a device, or leave it. The sender's stream is fresh, so nobody has it
/// before; of a download the device must hand in a digest under a key that it hears when all has
/// been sent, of an upload it must seal each part with its own key. A value: the caller moves the
/// bytes and reads the verifier's clock.
public struct StreamProbe: Sendable {
  /// Which way the bytes go.
  public enum Direction: String, Hashable, Codable, Sendable {
    /// To the device.
    case download
    /// From the device.
    case upload
  }

  /// What is accepted: up to 512 MiB in blocks of ``KeyedStream``.
  public static let allowedBlocks = 1...(512 << 20) / KeyedStream.blockByteCount
  /// Blocks of a part, half a mebibyte: what a message bears. Each part of an upload has a seal.
  public static let blocksPerSeal = 8

  /// What the device is told at the beginning.
  public struct Offer: Hashable, Codable, Sendable {
    /// Who is asked.
    public var device: DeviceID
    /// Hours since 1970 (UTC).
    public var epoch: Int64
    /// Which way.
    public var direction: Direction
    /// How many blocks.
    public var blocks: Int
    /// Names the probe; of an upload the stream's seed as well.
    public var nonce: Digest

    func text(_ part: String, _ digest: Digest) -> [UInt8] {
      Array(
        "iorun/\(Challenge.version)|\(direction.rawValue)|\(device)|\(epoch)|\(blocks)|\(nonce)|\(part)|\(digest)"
          .utf8)
    }

    /// The stream that a device uploads.
    public var uploadStream: KeyedStream { KeyedStream(seed: nonce, purpose: "upload|\(device)") }

    /// The device's word for all that came down, once the key is known. `received` is the running digest of
    /// the blocks in order. Throws what sealing throws.
    public func receipt(_ received: Digest, key: Digest, _ signer: ProofSigner) throws -> Seal {
      try signer.seal(text("receipt", Self.keyed(received, key)))
    }

    /// The device's word for blocks that it uploads: the `part`-th ``blocksPerSeal`` of them. Throws
    /// what sealing throws.
    public func seal(part: Int, digest: Digest, _ signer: ProofSigner) throws -> Seal {
      try signer.seal(text("\(part)", digest))
    }

    static func keyed(_ received: Digest, _ key: Digest) -> Digest {
      SHA256.digest(of: key.bytes + received.bytes)
    }
  }

  /// Bytes of an upload, and the device's word for them.
  public struct Part: Hashable, Codable, Sendable {
    /// ``blocksPerSeal`` blocks, or the last ones.
    public var bytes: Data
    /// See ``Offer/seal(part:digest:_:)``.
    public var seal: Seal

    /// Describes a part.
    public init(bytes: Data, seal: Seal) { (self.bytes, self.seal) = (bytes, seal) }
  }

  /// What a probe found.
  public struct Result: Hashable, Codable, Sendable {
    /// Which way.
    public var direction: Direction
    /// Bytes that were shown to have passed.
    public var bytes: UInt64
    /// From the first byte to the device's word for the last, by the verifier's clock.
    public var seconds: Double

    /// Describes a result.
    public init(direction: Direction, bytes: UInt64, seconds: Double) {
      (self.direction, self.bytes, self.seconds) = (direction, bytes, seconds)
    }

    /// Millions of bits a second.
    public var megabitsPerSecond: Double {
      seconds > 0 ? Double(bytes) * 8 / seconds / 1e6 : 0
    }
  }

  /// What the device is told.
  public let offer: Offer
  private let secret: Digest
  private let start: UInt64
  private var expected = RunningDigest()
  private var passed = 0
  private var isKeyOut = false
  private var end: UInt64?

  /// Begins a probe. Throws `malformed` for a size out of bounds, and where no random bytes can be
  /// had.
  public init(
    _ device: DeviceID, epoch: Int64, _ direction: Direction, blocks: Int,
    nowNanoseconds now: UInt64
  ) throws {
    try Limit.check(blocks, in: Self.allowedBlocks, "blocks")
    offer = Offer(
      device: device, epoch: epoch, direction: direction, blocks: blocks,
      nonce: SHA256.digest(of: try SecureRandom.bytes(SigningKey.byteCount)))
    secret = SHA256.digest(of: try SecureRandom.bytes(SigningKey.byteCount))
    start = now
  }

  /// The next block to send down; `nil` after the last, and for an upload. Throws `internalFault`.
  public mutating func nextBlock() throws -> [UInt8]? {
    guard offer.direction == .download, passed < offer.blocks else { return nil }
    let block = try KeyedStream(seed: secret, purpose: "download").block(UInt64(passed))
    expected.update(block)
    passed += 1
    return block
  }

  /// The key for the device's receipt; `nil` before all was sent.
  public mutating func key() -> Digest? {
    guard offer.direction == .download, passed == offer.blocks else { return nil }
    isKeyOut = true
    // Not the stream's own seed: with that alone the digest could be made without the bytes.
    return SHA256.digest(of: Array("iorun/\(Challenge.version)|receipt|".utf8) + secret.bytes)
  }

  /// Takes the device's receipt of a download.
  ///
  /// - Throws: a ``Refusal``: `early` before the key was out, `replayed`, `notSealed` also where the
  ///   device has not all the bytes, `wrongDevice`.
  public mutating func take(
    receipt: Seal, from submitter: Verifier.Submitter, nowNanoseconds now: UInt64
  ) throws {
    guard isKeyOut, now >= start, let key = key() else { throw Refusal.early }
    guard end == nil else { throw Refusal.replayed }
    let text = offer.text("receipt", Offer.keyed(expected.digest, key))
    try SealCheck.check(
      receipt, text, device: offer.device, epoch: offer.epoch, from: submitter)
    end = now
  }

  /// Takes the next part of an upload, ``blocksPerSeal`` blocks or the last ones.
  ///
  /// - Throws: a ``Refusal``: `wrongShape` for more or other bytes than were asked for, `wrongWork`
  ///   where they are not the stream's, `notSealed`, `wrongDevice`.
  public mutating func take(
    part bytes: [UInt8], seal: Seal, from submitter: Verifier.Submitter, nowNanoseconds now: UInt64
  ) throws {
    guard offer.direction == .upload, now >= start, passed < offer.blocks else {
      throw Refusal.wrongShape
    }
    let part = passed / Self.blocksPerSeal
    let blocks = try offer.blocks(inPart: part)
    guard bytes.count == blocks * KeyedStream.blockByteCount else { throw Refusal.wrongShape }
    // The seal first: a stranger's bytes cost one digest.
    let text = offer.text("\(part)", SHA256.digest(of: bytes))
    try SealCheck.check(seal, text, device: offer.device, epoch: offer.epoch, from: submitter)
    for block in 0..<blocks {
      let place = block * KeyedStream.blockByteCount
      guard
        try offer.uploadStream.block(UInt64(passed + block))
          .elementsEqual(bytes[place..<place + KeyedStream.blockByteCount])
      else { throw Refusal.wrongWork }
    }
    passed += blocks
    if passed == offer.blocks { end = now }
  }

  /// What was found; `nil` before all has passed.
  public var result: Result? {
    guard let end else { return nil }
    return Result(
      direction: offer.direction, bytes: UInt64(offer.blocks * KeyedStream.blockByteCount),
      seconds: Double(max(1, end - start)) / 1e9)
  }
}

/// The digest of a stream: of each block's digest and the one before, so that it can be copied.
public struct RunningDigest: Sendable {
  /// Of what came so far.
  public private(set) var digest = SHA256.digest(of: [UInt8]())

  /// Of nothing.
  public init() {}

  /// Adds a block.
  public mutating func update(_ block: [UInt8]) {
    digest = SHA256.digest(of: digest.bytes + SHA256.digest(of: block).bytes)
  }
}
