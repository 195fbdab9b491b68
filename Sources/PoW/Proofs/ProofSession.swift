public import IorunCore
public import IorunCrypto

/// Seals what a device hands in.
public enum ProofSigner: Sendable {
  /// By the device's own key.
  case device(SigningKey)
  /// By the key of a session.
  case session(ProofSession)

  func seal(_ text: [UInt8]) throws -> Seal {
    switch self {
    case .device(let key): .signature(try key.sign(text))
    case .session(let session): .code(try HMACSHA256.code(of: text, key: session.key))
    }
  }
}

/// A key that device and verifier share for one epoch. The device signs once, for a fresh X25519
/// key; a proof then costs the verifier an HMAC in place of a signature check. Both halves are drawn
/// for this session alone, so a hello that is sent again, to this verifier or another, gives nobody a
/// key that was used. What is sealed with it convinces the verifier only, who has the key as well.
public struct ProofSession: Sendable {
  /// Whose session it is.
  public let device: DeviceID
  /// The epoch it is for; what belongs to another is not sealed by it.
  public let epoch: Int64
  /// The epoch's beacon.
  public let beacon: Digest
  let key: [UInt8]

  /// What the device sends to begin: a fresh public key, signed.
  public struct Hello: Hashable, Codable, Sendable {
    /// Who begins.
    public let device: DeviceID
    /// With whom: no other verifier takes it.
    public let verifier: PeerID
    /// The epoch it is for.
    public let epoch: Int64
    /// The epoch's beacon, which nobody could know long before.
    public let beacon: Digest
    /// The device's fresh X25519 key.
    public let publicKey: Digest
    /// The device's signature of all this.
    public let signature: Seal

    var text: [UInt8] {
      Array(
        "iorun/\(Challenge.version)|session|\(device)|\(verifier)|\(epoch)|\(beacon)|\(publicKey)"
          .utf8)
    }
  }

  /// The device's half: what to send, and the session once the verifier's key is known.
  public struct Offer: Sendable {
    /// What to send.
    public let hello: Hello
    private let pair: X25519

    /// Begins a session with `verifier`. Throws what signing throws.
    public init(to verifier: PeerID, epoch: Int64, beacon: Digest, key: SigningKey) throws {
      pair = try X25519()
      let publicKey = try ProofSession.publicKey(of: pair)
      func hello(_ signature: [UInt8]) -> Hello {
        Hello(
          device: DeviceID(key), verifier: verifier, epoch: epoch, beacon: beacon,
          publicKey: publicKey, signature: .signature(signature))
      }
      self.hello = hello(try key.sign(hello([]).text))
    }

    /// The session, with the verifier's key, which the device got over the authenticated mesh.
    public func session(with publicKey: Digest) throws -> ProofSession {
      try ProofSession(hello, secret: pair.agree(with: publicKey.bytes), verifier: publicKey)
    }
  }

  /// The verifier's half, and the key that it sends back. Throws `notAllowed` where the hello is for
  /// another verifier or beacon, or the device did not sign it, `malformed` for an unusable key.
  public static func accept(
    _ hello: Hello, by verifier: PeerID, beacon: Digest
  ) throws -> (session: ProofSession, publicKey: Digest) {
    guard hello.verifier == verifier, hello.beacon == beacon,
      case .signature(let signature) = hello.signature,
      try VerifyingKey(rawRepresentation: hello.device.bytes)
        .isValid(signature: signature, for: hello.text)
    else {
      throw IorunError(
        .notAllowed,
        "a session that device \(hello.device) did not sign for with this verifier and beacon",
        remedy: "Begin the session with the device's own key, or sign each proof")
    }
    let pair = try X25519()
    let publicKey = try publicKey(of: pair)
    let session = try ProofSession(
      hello, secret: pair.agree(with: hello.publicKey.bytes), verifier: publicKey)
    return (session, publicKey)
  }

  private init(_ hello: Hello, secret: [UInt8], verifier: Digest) throws {
    (device, epoch, beacon) = (hello.device, hello.epoch, hello.beacon)
    key = try HKDF.derive(
      secret, info: hello.text + verifier.bytes, byteCount: HMACSHA256.byteCount)
  }

  private static func publicKey(of pair: X25519) throws -> Digest {
    guard let publicKey = Digest(bytes: pair.publicKey) else {
      throw IorunError(.internalFault, "an X25519 key has 32 bytes")
    }
    return publicKey
  }

  /// True where what belongs to a challenge can be sealed by this session.
  public func serves(_ challenge: Challenge) -> Bool {
    device == challenge.device && epoch == challenge.epoch && beacon == challenge.beacon
  }

  /// True where both seal alike.
  public func isSame(as other: ProofSession) -> Bool {
    device == other.device && constantTimeEqual(key, other.key)
  }

  /// True where this session's device sealed `text` with the session's key.
  func isValid(_ code: [UInt8], for text: [UInt8]) throws -> Bool {
    constantTimeEqual(try HMACSHA256.code(of: text, key: key), code)
  }
}
