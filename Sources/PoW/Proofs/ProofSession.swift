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
/// key; a proof then costs the verifier an HMAC in place of a signature check.
public struct ProofSession: Sendable {
  /// Whose session it is.
  public let device: DeviceID
  /// The epoch it is for.
  public let epoch: Int64
  let key: [UInt8]

  /// What the device sends to begin: a fresh public key, signed.
  public struct Hello: Hashable, Codable, Sendable {
    /// Who begins.
    public let device: DeviceID
    /// The epoch it is for.
    public let epoch: Int64
    /// The device's fresh X25519 key.
    public let publicKey: Digest
    /// The device's signature of all this.
    public let signature: Seal

    var text: [UInt8] {
      Array("iorun/\(Challenge.version)|session|\(device)|\(epoch)|\(publicKey)".utf8)
    }
  }

  /// The device's half: what to send, and the session once the verifier's key is known.
  public struct Offer: Sendable {
    /// What to send.
    public let hello: Hello
    private let pair: X25519

    /// Begins. Throws what signing throws.
    public init(epoch: Int64, key: SigningKey) throws {
      pair = try X25519()
      guard let publicKey = Digest(bytes: pair.publicKey) else {
        throw IorunError(.internalFault, "an X25519 key has 32 bytes")
      }
      let blank = Hello(
        device: DeviceID(key), epoch: epoch, publicKey: publicKey, signature: .signature([]))
      hello = Hello(
        device: blank.device, epoch: epoch, publicKey: publicKey,
        signature: .signature(try key.sign(blank.text)))
    }

    /// The session with a verifier, whose key the device got over the authenticated mesh.
    public func session(with verifier: Digest) throws -> ProofSession {
      try ProofSession(hello, secret: pair.agree(with: verifier.bytes), verifier: verifier)
    }
  }

  /// The verifier's half. Throws `notAllowed` where the device did not sign.
  public static func accept(_ hello: Hello, with pair: X25519) throws -> ProofSession {
    guard case .signature(let signature) = hello.signature,
      try VerifyingKey(rawRepresentation: hello.device.bytes)
        .isValid(signature: signature, for: hello.text),
      let verifier = Digest(bytes: pair.publicKey)
    else {
      throw IorunError(
        .notAllowed, "a session that device \(hello.device) did not sign for",
        remedy: "Begin the session with the device's own key")
    }
    return try ProofSession(
      hello, secret: pair.agree(with: hello.publicKey.bytes), verifier: verifier)
  }

  private init(_ hello: Hello, secret: [UInt8], verifier: Digest) throws {
    device = hello.device
    epoch = hello.epoch
    key = try HKDF.derive(
      secret, info: hello.text + verifier.bytes, byteCount: HMACSHA256.byteCount)
  }

  /// True where this session's device sealed `text` with the session's key.
  func isValid(_ code: [UInt8], for text: [UInt8]) throws -> Bool {
    constantTimeEqual(try HMACSHA256.code(of: text, key: key), code)
  }
}
