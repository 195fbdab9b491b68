internal import COpenSSL
internal import IorunCore

/// The public half of an Ed25519 key (RFC 8032): checks what a ``SigningKey`` signed.
public struct VerifyingKey: Hashable, Sendable {
  /// The 32 public bytes.
  public let rawRepresentation: [UInt8]

  /// Takes a key from its 32 bytes. Throws `malformed` for any other length.
  public init(rawRepresentation: [UInt8]) throws {
    guard rawRepresentation.count == SigningKey.byteCount else {
      throw IorunError(
        .malformed, "a public signing key has 32 bytes, this one has \(rawRepresentation.count)")
    }
    self.rawRepresentation = rawRepresentation
  }

  /// True only where the owner of this key signed exactly `message`. Both may come from strangers:
  /// anything unreadable is simply not valid.
  public func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
    guard signature.count == SigningKey.signatureByteCount else { return false }
    let algorithm = COpenSSL.EVP_PKEY_ED25519
    guard
      let key = EVP_PKEY_new_raw_public_key(
        algorithm, nil, rawRepresentation, rawRepresentation.count)
    else { return false }
    defer { EVP_PKEY_free(key) }
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    let isValid =
      EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    // A refusal leaves its reason in this thread's queue, where a later call would find it.
    ERR_clear_error()
    return isValid
  }
}
