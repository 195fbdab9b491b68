internal import IorunCore
public import IorunCrypto

/// Seals disco messages between two keys: nobody else can read or make them, and neither end can be
/// shown its own messages as the other's.
///
/// On the wire: `0x9F`, 8 bytes that name the pair, 12 bytes of nonce, the sealed message. Keys are
/// HKDF-SHA256 of the X25519 secret, one for each direction; nonces are random, which is safe for
/// far more messages than two ends exchange (2^32 for a chance of 2^-32 that two are equal). What is
/// replayed can do no harm: a ping is answered to where it came from and by as many bytes, a pong
/// counts only for the transaction that waits for it.
public struct DiscoSeal: Sendable {
  /// The first byte of a disco datagram.
  public static let firstByte: UInt8 = 0x9F
  /// How many bytes of a datagram tell for which pair it is.
  public static let nameByteCount = 8
  /// The longest datagram that is looked at, in bytes.
  public static let longestByteCount = 1500

  /// The pair's name as the other end writes it: tells whose datagram has come.
  public let inboundName: [UInt8]
  private let outboundName: [UInt8]
  private let outboundKey: [UInt8]
  private let inboundKey: [UInt8]

  /// Makes the seal of one end.
  ///
  /// - Parameters:
  ///   - own: this end's key.
  ///   - peer: the other end's public key.
  ///   - context: what else both know of the pair; other contexts have other keys.
  /// - Throws: `malformed` for an unusable key.
  public init(own: X25519, peer: [UInt8], context: [UInt8] = []) throws {
    let secret = try own.agree(with: peer)
    func derive(from: [UInt8], to: [UInt8]) throws -> [UInt8] {
      try HKDF.derive(
        secret, salt: context, info: Array("iorun disco 1".utf8) + from + to,
        byteCount: ChaCha20Poly1305.keyByteCount + Self.nameByteCount)
    }
    let out = try derive(from: own.publicKey, to: peer)
    let back = try derive(from: peer, to: own.publicKey)
    (outboundKey, outboundName) = (Array(out.prefix(32)), Array(out.suffix(Self.nameByteCount)))
    (inboundKey, inboundName) = (Array(back.prefix(32)), Array(back.suffix(Self.nameByteCount)))
  }

  /// The datagram for a message.
  ///
  /// - Throws: `internalFault` where there is no randomness.
  public func seal(_ message: DiscoMessage) throws -> [UInt8] {
    let nonce = try SecureRandom.bytes(ChaCha20Poly1305.nonceByteCount)
    let header = [Self.firstByte] + outboundName
    return header + nonce
      + (try ChaCha20Poly1305.seal(
        message.bytes, key: outboundKey, nonce: nonce, header: header))
  }

  /// The message in a datagram of the other end; `nil` for any other datagram.
  public func open(_ datagram: ArraySlice<UInt8>) -> DiscoMessage? {
    let headerCount = 1 + Self.nameByteCount
    guard datagram.count <= Self.longestByteCount, Self.name(in: datagram) == inboundName else {
      return nil
    }
    let nonce = Array(datagram.dropFirst(headerCount).prefix(ChaCha20Poly1305.nonceByteCount))
    let sealed = datagram.dropFirst(headerCount + ChaCha20Poly1305.nonceByteCount)
    guard
      let plain = ChaCha20Poly1305.open(
        sealed, key: inboundKey, nonce: nonce, header: Array(datagram.prefix(headerCount)))
    else { return nil }
    return DiscoMessage(bytes: plain[...])
  }

  /// The name of the pair for which a datagram is; `nil` where it is no disco datagram.
  public static func name(in datagram: ArraySlice<UInt8>) -> [UInt8]? {
    guard datagram.first == firstByte, datagram.count > 1 + nameByteCount else { return nil }
    return Array(datagram.dropFirst().prefix(nameByteCount))
  }
}
