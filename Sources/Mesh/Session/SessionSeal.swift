internal import IorunCore
internal import IorunCrypto
internal import IorunWire

/// Protects a session's packets where they pass a third process: it can lose and delay them, and no
/// more. A pure value but for the drawing of its ephemeral key.
///
/// The keys come from three X25519 secrets, as in Noise's handshakes with two ephemeral and two static
/// keys (ee, es, se; noiseprotocol.org, revision 34, section 7): only who has the secret half of either
/// the static or the ephemeral key on *each* side can compute them, and old traffic stays closed when
/// static keys leak later. Sealed with ChaCha20-Poly1305 (RFC 8439), keys by HKDF-SHA256 (RFC 5869).
struct SessionSeal: Sendable {
  private struct Keys: Sendable {
    let greeting: SessionGreeting
    let incarnation: UInt64
    let sending: [UInt8]
    let receiving: [UInt8]
    /// What the other side's `accept` proves its keys with.
    let theirProof: [UInt8]
    let ourProof: [UInt8]
  }

  private let identity: MeshIdentity
  private let ephemeral: X25519
  private let local: PeerID
  private let remote: PeerID
  private let incarnation: UInt64
  private var keys: Keys?
  /// Grows over the session's whole life, whichever keys are in use: no nonce comes twice.
  private var sent: UInt64 = 0
  private var window = ReplayWindow()
  /// What the other side said of itself; `nil` until then.
  private(set) var greeting: SessionGreeting?
  private var remoteIncarnation: UInt64 = 0

  /// - Throws: `internalFault` where there is no randomness.
  init(identity: MeshIdentity, local: PeerID, remote: PeerID, incarnation: UInt64) throws {
    self.identity = identity
    self.local = local
    self.remote = remote
    self.incarnation = incarnation
    ephemeral = try X25519()
  }

  /// What `open` and `accept` carry.
  var ourGreeting: SessionGreeting {
    SessionGreeting(
      publicKey: identity.key.publicKey, ephemeralKey: ephemeral.publicKey,
      instance: identity.instance)
  }

  /// The other side is the session of that number with those keys. The caller has checked that the
  /// keys are the address's.
  mutating func meet(_ greeting: SessionGreeting, incarnation: UInt64) {
    var greeting = greeting
    greeting.proof = []
    guard greeting != self.greeting || incarnation != remoteIncarnation else { return }
    self.greeting = greeting
    remoteIncarnation = incarnation
    window = ReplayWindow()
  }

  /// True where an `accept` proves that its sender has the keys it names and knows ours.
  func proves(_ greeting: SessionGreeting, incarnation: UInt64) -> Bool {
    var claim = greeting
    claim.proof = []
    if let keys, keys.greeting == claim, keys.incarnation == incarnation {
      return constantTimeEqual(greeting.proof, keys.theirProof)
    }
    guard greeting.proof.count == HMACSHA256.byteCount,
      let keys = try? derive(claim, incarnation)
    else { return false }
    return constantTimeEqual(greeting.proof, keys.theirProof)
  }

  /// The proof that our `accept` carries; empty before `meet`.
  mutating func proof() -> [UInt8] { currentKeys()?.ourProof ?? [] }

  /// Closes a packet; `nil` where the other side's keys are not known or not usable.
  mutating func seal(_ packet: Packet) -> Packet? {
    guard let plain = SealedContent.encode(packet), let keys = currentKeys() else { return nil }
    sent += 1
    var sealed = packet
    sealed.trafficClass = .control
    sealed.acknowledged = 0
    sealed.creditLimit = 0
    sealed.kind = .sealed(counter: sent, content: [])
    guard
      let content = try? ChaCha20Poly1305.seal(
        plain, key: keys.sending, nonce: Self.nonce(sent), header: Self.header(sealed, sent))
    else { return nil }
    sealed.kind = .sealed(counter: sent, content: content)
    return sealed
  }

  /// Opens a packet that the other side closed; `nil` for one that it did not, and for one that came
  /// before.
  mutating func open(_ packet: Packet) -> Packet? {
    guard case .sealed(let counter, let content) = packet.kind,
      packet.sourceIncarnation == remoteIncarnation, window.isNew(counter),
      let keys = currentKeys(),
      let plain = ChaCha20Poly1305.open(
        content[...], key: keys.receiving, nonce: Self.nonce(counter),
        header: Self.header(packet, counter))
    else { return nil }
    window.took(counter)
    return SealedContent.decode(plain, of: packet)
  }

  private mutating func currentKeys() -> Keys? {
    guard let greeting else { return nil }
    if let keys, keys.greeting == greeting, keys.incarnation == remoteIncarnation { return keys }
    keys = try? derive(greeting, remoteIncarnation)
    return keys
  }

  private func derive(_ greeting: SessionGreeting, _ remoteIncarnation: UInt64) throws -> Keys {
    let isLower = local < remote
    let both = try ephemeral.agree(with: greeting.ephemeralKey)
    let ours = try identity.key.agree(with: greeting.ephemeralKey)
    let theirs = try ephemeral.agree(with: greeting.publicKey)
    let ourSide = Self.side(local, incarnation, ourGreeting)
    let theirSide = Self.side(remote, remoteIncarnation, greeting)
    let derived = try HKDF.derive(
      both + (isLower ? ours + theirs : theirs + ours), salt: Array("iorun session seal 1".utf8),
      info: isLower ? ourSide + theirSide : theirSide + ourSide, byteCount: 128)
    let parts = (0..<4).map { Array(derived[$0 * 32..<($0 + 1) * 32]) }
    return Keys(
      greeting: greeting, incarnation: remoteIncarnation, sending: parts[isLower ? 0 : 1],
      receiving: parts[isLower ? 1 : 0], theirProof: parts[isLower ? 3 : 2],
      ourProof: parts[isLower ? 2 : 3])
  }

  private static func side(
    _ peer: PeerID, _ incarnation: UInt64, _ greeting: SessionGreeting
  ) -> [UInt8] {
    peer.bytes + bytes(incarnation) + greeting.publicKey + greeting.ephemeralKey
      + bytes(greeting.instance)
  }

  private static func header(_ packet: Packet, _ counter: UInt64) -> [UInt8] {
    packet.source.bytes + packet.destination.bytes + bytes(packet.sourceIncarnation)
      + bytes(packet.destinationIncarnation) + bytes(counter)
  }

  private static func nonce(_ counter: UInt64) -> [UInt8] { [0, 0, 0, 0] + bytes(counter) }

  private static func bytes(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
  }
}
