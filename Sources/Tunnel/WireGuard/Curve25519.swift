internal import COpenSSL
internal import IorunCore

/// X25519 (RFC 7748) by OpenSSL, on a tunnel's keys.
enum Curve25519 {
  /// The public half of a key. Throws `identityUnusable` where OpenSSL refuses it.
  static func publicKey(of secret: TunnelPrivateKey) throws -> TunnelPublicKey {
    let algorithm = COpenSSL.EVP_PKEY_X25519
    guard
      let key = EVP_PKEY_new_raw_private_key(algorithm, nil, secret.bytes, secret.bytes.count)
    else {
      ERR_clear_error()
      throw IorunError(.identityUnusable, "a tunnel's private key is unusable")
    }
    defer { EVP_PKEY_free(key) }
    var bytes = [UInt8](repeating: 0, count: TunnelPublicKey.byteCount)
    var count = bytes.count
    guard EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1,
      let result = TunnelPublicKey(bytes: bytes)
    else {
      ERR_clear_error()
      throw IorunError(.identityUnusable, "a tunnel's private key has no public half")
    }
    return result
  }

  /// The secret that two keys share; `nil` where the other key is one of the few that would make it
  /// known to everybody (all zero, RFC 7748 section 6.1).
  static func sharedSecret(_ secret: TunnelPrivateKey, _ other: TunnelPublicKey) -> [UInt8]? {
    let algorithm = COpenSSL.EVP_PKEY_X25519
    defer { ERR_clear_error() }
    guard
      let own = EVP_PKEY_new_raw_private_key(algorithm, nil, secret.bytes, secret.bytes.count)
    else { return nil }
    defer { EVP_PKEY_free(own) }
    guard let peer = EVP_PKEY_new_raw_public_key(algorithm, nil, other.bytes, other.bytes.count)
    else { return nil }
    defer { EVP_PKEY_free(peer) }
    guard let context = EVP_PKEY_CTX_new(own, nil) else { return nil }
    defer { EVP_PKEY_CTX_free(context) }
    var result = [UInt8](repeating: 0, count: TunnelPublicKey.byteCount)
    var count = result.count
    // OpenSSL itself refuses a result of zeros.
    guard EVP_PKEY_derive_init(context) == 1, EVP_PKEY_derive_set_peer(context, peer) == 1,
      EVP_PKEY_derive(context, &result, &count) == 1, count == result.count
    else { return nil }
    return result
  }
}
