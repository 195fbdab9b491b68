internal import COpenSSL
internal import IorunCore

/// Authenticated encryption (RFC 8439). A nonce must never be used twice with one key.
public enum ChaCha20Poly1305 {
  /// How many bytes a key has.
  public static let keyByteCount = 32
  /// How many bytes a nonce has.
  public static let nonceByteCount = 12
  /// How many bytes longer than the plain text the sealed text is.
  public static let tagByteCount = 16

  /// Encrypts `plain` and appends the tag, which also covers `header`.
  ///
  /// - Throws: `internalFault` for a key or nonce of another length.
  public static func seal(
    _ plain: [UInt8], key: [UInt8], nonce: [UInt8], header: [UInt8] = []
  ) throws -> [UInt8] {
    try check(key, nonce)
    guard let context = EVP_CIPHER_CTX_new() else { throw OpenSSLFailure.error("out of memory") }
    defer { EVP_CIPHER_CTX_free(context) }
    var sealed = [UInt8](repeating: 0, count: plain.count + tagByteCount)
    var (count, ignored): (Int32, Int32) = (0, 0)
    let done = sealed.withUnsafeMutableBufferPointer { out -> Bool in
      guard let base = out.baseAddress,
        EVP_EncryptInit_ex(context, EVP_chacha20_poly1305(), nil, key, nonce) == 1,
        header.isEmpty
          || EVP_EncryptUpdate(context, nil, &ignored, header, Int32(header.count)) == 1,
        plain.isEmpty || EVP_EncryptUpdate(context, base, &count, plain, Int32(plain.count)) == 1,
        EVP_EncryptFinal_ex(context, base + Int(count), &ignored) == 1
      else { return false }
      return EVP_CIPHER_CTX_ctrl(
        context, COpenSSL.EVP_CTRL_AEAD_GET_TAG, Int32(tagByteCount), base + plain.count) == 1
    }
    guard done else { throw OpenSSLFailure.error("the bytes could not be sealed") }
    return sealed
  }

  /// Decrypts what `seal` made; `nil` where a byte of it or of `header` is not what was sealed, or
  /// the key or nonce is another.
  public static func open(
    _ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: [UInt8], header: [UInt8] = []
  ) -> [UInt8]? {
    guard sealed.count >= tagByteCount, sealed.count < Int(Int32.max),
      (try? check(key, nonce)) != nil,
      let context = EVP_CIPHER_CTX_new()
    else { return nil }
    defer { EVP_CIPHER_CTX_free(context) }
    let length = sealed.count - tagByteCount
    var tag = Array(sealed.suffix(tagByteCount))
    var plain = [UInt8](repeating: 0, count: length)
    var (count, ignored): (Int32, Int32) = (0, 0)
    let isWhole = sealed.withUnsafeBufferPointer { bytes -> Bool in
      plain.withUnsafeMutableBufferPointer { out in
        guard EVP_DecryptInit_ex(context, EVP_chacha20_poly1305(), nil, key, nonce) == 1,
          header.isEmpty
            || EVP_DecryptUpdate(context, nil, &ignored, header, Int32(header.count)) == 1,
          length == 0
            || EVP_DecryptUpdate(context, out.baseAddress, &count, bytes.baseAddress, Int32(length))
              == 1,
          EVP_CIPHER_CTX_ctrl(
            context, COpenSSL.EVP_CTRL_AEAD_SET_TAG, Int32(tagByteCount), &tag) == 1
        else { return false }
        var rest = [UInt8](repeating: 0, count: tagByteCount)
        return EVP_DecryptFinal_ex(context, &rest, &ignored) == 1
      }
    }
    guard isWhole else {
      ERR_clear_error()
      return nil
    }
    return plain
  }

  private static func check(_ key: [UInt8], _ nonce: [UInt8]) throws {
    guard key.count == keyByteCount, nonce.count == nonceByteCount else {
      throw IorunError(.internalFault, "a ChaCha20-Poly1305 key has 32 bytes, a nonce 12")
    }
  }
}
