internal import COpenSSL
internal import IorunCore

/// An Ed25519 key that signs (RFC 8032): the head's authority over certificates and receipts.
public struct SigningKey: Sendable {
  /// The 32 secret bytes (RFC 8032's seed). Whoever has them can sign.
  public let rawRepresentation: [UInt8]
  /// The 32 public bytes, from which a ``VerifyingKey`` is made.
  public let publicKey: [UInt8]

  /// How many bytes the secret and the public half have each.
  public static let byteCount = 32
  /// How many bytes a signature has.
  public static let signatureByteCount = 64

  /// Makes a new key. Throws `internalFault` where there is no randomness.
  public init() throws {
    try self.init(rawRepresentation: SecureRandom.bytes(Self.byteCount))
  }

  /// Takes a key from its 32 secret bytes. Throws `identityUnusable` for any other length.
  public init(rawRepresentation: [UInt8]) throws {
    guard rawRepresentation.count == Self.byteCount else {
      throw IorunError(
        .identityUnusable, "a signing key has 32 bytes, this one has \(rawRepresentation.count)",
        remedy: "Restore the key file from a backup")
    }
    self.rawRepresentation = rawRepresentation
    publicKey = try Self.withKey(rawRepresentation) { key in
      var bytes = [UInt8](repeating: 0, count: Self.byteCount)
      var count = bytes.count
      guard EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1, count == Self.byteCount else {
        throw OpenSSLFailure.error("the signing key has no public half", code: .identityUnusable)
      }
      return bytes
    }
  }

  /// The key that checks this key's signatures.
  public var verifyingKey: VerifyingKey {
    get throws { try VerifyingKey(rawRepresentation: publicKey) }
  }

  /// Signs `message`; the same message always gives the same 64 bytes.
  public func sign(_ message: [UInt8]) throws -> [UInt8] {
    try Self.withKey(rawRepresentation) { key in
      guard let context = EVP_MD_CTX_new() else { throw OpenSSLFailure.error("out of memory") }
      defer { EVP_MD_CTX_free(context) }
      var signature = [UInt8](repeating: 0, count: Self.signatureByteCount)
      var count = signature.count
      guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
        EVP_DigestSign(context, &signature, &count, message, message.count) == 1,
        count == Self.signatureByteCount
      else { throw OpenSSLFailure.error("the message could not be signed") }
      return signature
    }
  }

  private static func withKey<Result>(
    _ secret: [UInt8], _ body: (OpaquePointer) throws -> Result
  ) throws -> Result {
    let algorithm = COpenSSL.EVP_PKEY_ED25519
    guard let key = EVP_PKEY_new_raw_private_key(algorithm, nil, secret, secret.count) else {
      throw OpenSSLFailure.error("the signing key is unusable", code: .identityUnusable)
    }
    defer { EVP_PKEY_free(key) }
    return try body(key)
  }
}

extension SigningKey: CustomStringConvertible, CustomReflectable {
  /// Says only that it is a key, so that no log ever shows the secret.
  public var description: String { "SigningKey(secret not shown)" }
  /// Without children, for the same reason.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}
