internal import IorunCrypto

/// Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard runs it (paper, 5.4.2 and 5.4.3): one message
/// each way, after which both sides have a key for each direction. A value that mixes in what both
/// sides know, step by step.
struct NoiseHandshake {
  /// What mixes all Diffie-Hellman results so far.
  private var chainingKey: [UInt8]
  /// What covers all that was said so far.
  private var hash: [UInt8]

  /// How many bytes a timestamp has.
  static let timestampByteCount = 12

  private static let start = Blake2s.hash(
    Array("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s".utf8))
  private static let startHash = Blake2s.hash(
    start, Array("WireGuard v1 zx2c4 Jason@zx2c4.com".utf8))

  /// What comes out of a handshake.
  struct Keys {
    var send: SecretBytes
    var receive: SecretBytes
  }

  private init(responder: [UInt8]) {
    chainingKey = Self.start
    hash = Blake2s.hash(Self.startHash, responder)
  }

  // MARK: the side that begins

  /// Begins: the message, and the state in which the answer is awaited.
  ///
  /// - Parameter staticSecret: what both static keys agree on.
  static func initiate(
    as local: X25519, to peer: TunnelPublicKey, staticSecret: [UInt8], ephemeral: X25519,
    timestamp: [UInt8], sender: UInt32
  ) throws -> (NoiseHandshake, HandshakeMessage.Initiation) {
    var noise = NoiseHandshake(responder: peer.bytes)
    noise.mixHash(ephemeral.publicKey)
    noise.mixKey(ephemeral.publicKey)
    let sealedStatic = try noise.seal(
      local.publicKey, noise.mixKeyForSeal(try ephemeral.agree(with: peer.bytes)))
    let sealedTimestamp = try noise.seal(timestamp, noise.mixKeyForSeal(staticSecret))
    return (
      noise,
      HandshakeMessage.Initiation(
        sender: sender, ephemeral: ephemeral.publicKey, sealedStatic: sealedStatic,
        sealedTimestamp: sealedTimestamp)
    )
  }

  /// Takes the answer; `nil` where it is not from the peer, or to another message. The state stays
  /// what it was: a forged answer must not spoil the true one.
  func finish(
    _ response: HandshakeMessage.Response, as local: X25519, ephemeral: X25519,
    presharedKey: [UInt8]
  ) -> Keys? {
    var noise = self
    noise.mixHash(response.ephemeral)
    noise.mixKey(response.ephemeral)
    guard let first = try? ephemeral.agree(with: response.ephemeral),
      let second = try? local.agree(with: response.ephemeral)
    else { return nil }
    noise.mixKey(first)
    noise.mixKey(second)
    let key = noise.mixPreshared(presharedKey)
    guard noise.open(response.sealedNothing, key) != nil else { return nil }
    let (send, receive) = noise.split()
    return Keys(send: send, receive: receive)
  }

  // MARK: the side that answers

  /// An initiation as far as it can be read without knowing who sent it.
  struct Received {
    /// Who sent it, not yet proved.
    var peer: TunnelPublicKey
    /// The sender's index, which the answer names.
    var sender: UInt32 { message.sender }
    fileprivate var noise: NoiseHandshake
    fileprivate var message: HandshakeMessage.Initiation
  }

  /// Reads who sent an initiation; `nil` where it was not made for this side's key.
  static func receive(
    _ message: HandshakeMessage.Initiation, as local: X25519
  ) -> Received? {
    var noise = NoiseHandshake(responder: local.publicKey)
    noise.mixHash(message.ephemeral)
    noise.mixKey(message.ephemeral)
    guard let secret = try? local.agree(with: message.ephemeral) else { return nil }
    let key = noise.mixKeyForSeal(secret)
    guard let peer = noise.open(message.sealedStatic, key) else { return nil }
    return Received(peer: TunnelPublicKey(unchecked: peer), noise: noise, message: message)
  }

  /// Proves that the initiation is from whom it says, and reads its timestamp; `nil` where it is not.
  static func timestamp(
    of received: inout Received, staticSecret: [UInt8]
  ) -> [UInt8]? {
    let key = received.noise.mixKeyForSeal(staticSecret)
    return received.noise.open(received.message.sealedTimestamp, key)
  }

  /// Answers an initiation whose timestamp was read.
  static func respond(
    to received: Received, ephemeral: X25519, presharedKey: [UInt8], sender: UInt32
  ) throws -> (HandshakeMessage.Response, Keys) {
    var noise = received.noise
    noise.mixHash(ephemeral.publicKey)
    noise.mixKey(ephemeral.publicKey)
    noise.mixKey(try ephemeral.agree(with: received.message.ephemeral))
    noise.mixKey(try ephemeral.agree(with: received.peer.bytes))
    let key = noise.mixPreshared(presharedKey)
    let sealed = try noise.seal([], key)
    let (receive, send) = noise.split()
    return (
      HandshakeMessage.Response(
        sender: sender, receiver: received.message.sender, ephemeral: ephemeral.publicKey,
        sealedNothing: sealed),
      Keys(send: send, receive: receive)
    )
  }

  // MARK: Noise's steps

  private mutating func mixHash(_ bytes: [UInt8]) { hash = Blake2s.hash(hash, bytes) }

  private mutating func mixKey(_ input: [UInt8]) {
    chainingKey = Blake2s.derive(chainingKey, input, count: 1)[0]
  }

  private mutating func mixKeyForSeal(_ input: [UInt8]) -> [UInt8] {
    let keys = Blake2s.derive(chainingKey, input, count: 2)
    chainingKey = keys[0]
    return keys[1]
  }

  private mutating func mixPreshared(_ presharedKey: [UInt8]) -> [UInt8] {
    let keys = Blake2s.derive(chainingKey, presharedKey, count: 3)
    chainingKey = keys[0]
    mixHash(keys[1])
    return keys[2]
  }

  private mutating func seal(_ plain: [UInt8], _ key: [UInt8]) throws -> [UInt8] {
    let sealed = try ChaCha20Poly1305.seal(
      plain, key: key, nonce: Self.firstNonce, header: hash)
    mixHash(sealed)
    return sealed
  }

  private mutating func open(_ sealed: [UInt8], _ key: [UInt8]) -> [UInt8]? {
    guard
      let plain = ChaCha20Poly1305.open(
        sealed[...], key: key, nonce: Self.firstNonce, header: hash)
    else { return nil }
    mixHash(sealed)
    return plain
  }

  private mutating func split() -> (SecretBytes, SecretBytes) {
    var keys = Blake2s.derive(chainingKey, [], count: 2)
    erase(&chainingKey)
    return (SecretBytes(keys.removeFirst()), SecretBytes(keys.removeFirst()))
  }

  /// Each key seals one message.
  private static let firstNonce = [UInt8](repeating: 0, count: ChaCha20Poly1305.nonceByteCount)
}
