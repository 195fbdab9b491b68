internal import COpenSSL
internal import IorunCore

/// A Curve25519 key pair that agrees on secrets (X25519, RFC 7748).
public struct X25519: Sendable {
  /// How many bytes either half, and an agreed secret, has.
  public static let byteCount = 32

  /// The half that everybody may know.
  public let publicKey: [UInt8]
  /// The half that nobody else may have.
  public let secretKey: [UInt8]

  /// Draws a new pair. Throws `internalFault` where there is no randomness.
  public init() throws { try self.init(secretKey: SecureRandom.bytes(Self.byteCount)) }

  /// Derives the pair of a secret half. Throws `identityUnusable` for any length but 32.
  public init(secretKey: [UInt8]) throws {
    guard secretKey.count == Self.byteCount else {
      throw IorunError(.identityUnusable, "an X25519 key has 32 bytes, not \(secretKey.count)")
    }
    self.secretKey = secretKey
    publicKey = try Self.withKey(secretKey) { key in
      var bytes = [UInt8](repeating: 0, count: Self.byteCount)
      var count = bytes.count
      guard EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1, count == Self.byteCount else {
        throw OpenSSLFailure.error("the key has no public half", code: .identityUnusable)
      }
      return bytes
    }
  }

  /// The 32 secret bytes that only this pair and the owner of `publicKey` can compute. Hash them
  /// before use as a key.
  ///
  /// - Throws: `malformed` for a key of another length, or one of small order, with which anybody
  ///   could compute them.
  public func agree(with publicKey: [UInt8]) throws -> [UInt8] {
    guard publicKey.count == Self.byteCount,
      let other = EVP_PKEY_new_raw_public_key(
        COpenSSL.EVP_PKEY_X25519, nil, publicKey, publicKey.count)
    else {
      ERR_clear_error()
      throw IorunError(.malformed, "a peer's X25519 key is unusable")
    }
    defer { EVP_PKEY_free(other) }
    return try Self.withKey(secretKey) { key in
      guard let context = EVP_PKEY_CTX_new(key, nil) else {
        throw OpenSSLFailure.error("out of memory")
      }
      defer { EVP_PKEY_CTX_free(context) }
      var secret = [UInt8](repeating: 0, count: Self.byteCount)
      var count = secret.count
      // OpenSSL refuses an all-zero result, which RFC 7748 section 6.1 asks for.
      guard EVP_PKEY_derive_init(context) == 1, EVP_PKEY_derive_set_peer(context, other) == 1,
        EVP_PKEY_derive(context, &secret, &count) == 1, count == Self.byteCount
      else { throw OpenSSLFailure.error("no secret with that X25519 key", code: .malformed) }
      return secret
    }
  }

  private static func withKey<Result>(
    _ secret: [UInt8], _ body: (OpaquePointer) throws -> Result
  ) throws -> Result {
    guard
      let key = EVP_PKEY_new_raw_private_key(COpenSSL.EVP_PKEY_X25519, nil, secret, secret.count)
    else { throw OpenSSLFailure.error("the key is unusable", code: .identityUnusable) }
    defer { EVP_PKEY_free(key) }
    return try body(key)
  }
}

extension X25519: CustomStringConvertible, CustomReflectable {
  /// Says only that it is a key, so that no log ever shows the secret.
  public var description: String { "X25519(secret not shown)" }
  /// Without children, for the same reason.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}
