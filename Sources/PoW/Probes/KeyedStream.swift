public import IorunCore
internal import IorunCrypto

/// Bytes that look random and that whoever has the seed can make anew, in blocks: the key stream of
/// ChaCha20 (RFC 8439) under the seed, with the block's number as nonce. They cannot be compressed.
public struct KeyedStream: Sendable {
  /// Bytes of a block.
  public static let blockByteCount = 64 << 10

  private let key: [UInt8]

  /// The stream of `seed` for one `purpose`; other purposes have other streams.
  public init(seed: Digest, purpose: String) {
    key = SHA256.digest(of: Array("iorun/\(Challenge.version)|\(purpose)|\(seed)".utf8)).bytes
  }

  /// A block, ``blockByteCount`` bytes. Throws `internalFault` where the cipher fails.
  public func block(_ number: UInt64) throws -> [UInt8] {
    let nonce = [0, 0, 0, 0] + Words.bytes(number)
    let sealed = try ChaCha20Poly1305.seal(
      [UInt8](repeating: 0, count: Self.blockByteCount), key: key, nonce: nonce, header: [])
    // What seals nothing but zeros is the key stream; its tag is no part of it.
    return Array(sealed.dropLast(ChaCha20Poly1305.tagByteCount))
  }
}
