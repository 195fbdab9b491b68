internal import COpenSSL

/// BLAKE2s (RFC 7693) by OpenSSL, in the three forms that WireGuard uses.
enum Blake2s {
  /// How many bytes a digest has.
  static let byteCount = 32
  /// How many bytes a message's code has.
  static let macByteCount = 16

  /// Safe to share: an `EVP_MD` never changes and OpenSSL counts its references with atomics.
  nonisolated(unsafe) private static let digest: OpaquePointer? =
    EVP_MD_fetch(nil, "BLAKE2S-256", nil)
  /// As above.
  nonisolated(unsafe) private static let mac: OpaquePointer? = EVP_MAC_fetch(nil, "BLAKE2SMAC", nil)

  /// The digest of two pieces, one after the other.
  static func hash(_ first: [UInt8], _ second: some Collection<UInt8> = []) -> [UInt8] {
    let bytes = first + second
    var output = [UInt8](repeating: 0, count: byteCount)
    let done = EVP_Digest(bytes, bytes.count, &output, nil, digest, nil)
    precondition(done == 1, "OpenSSL has no BLAKE2s: its installation or configuration is broken")
    return output
  }

  /// HMAC (RFC 2104) with this digest.
  static func hmac(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: byteCount)
    var count: UInt32 = 0
    let result = HMAC(
      digest, key, Int32(key.count), message, message.count, &output, &count)
    precondition(result != nil && count == UInt32(byteCount), "OpenSSL made no HMAC with BLAKE2s")
    return output
  }

  /// BLAKE2s' own keyed form with 16 bytes of output; the key has 16 or 32 bytes.
  static func code(key: [UInt8], _ message: some Collection<UInt8>) -> [UInt8] {
    let bytes = Array(message)
    var output = [UInt8](repeating: 0, count: macByteCount)
    var count = 0
    var size = macByteCount
    // A parameter keeps the pointer to its name: a literal's lives for one call only.
    let done = "size".withCString { name in
      withUnsafeMutablePointer(to: &size) { size -> Bool in
        var parameters = [
          OSSL_PARAM_construct_size_t(name, size), OSSL_PARAM_construct_end(),
        ]
        guard let context = EVP_MAC_CTX_new(mac) else { return false }
        defer { EVP_MAC_CTX_free(context) }
        return EVP_MAC_init(context, key, key.count, &parameters) == 1
          && EVP_MAC_update(context, bytes, bytes.count) == 1
          && EVP_MAC_final(context, &output, &count, output.count) == 1
      }
    }
    precondition(done && count == macByteCount, "OpenSSL has no keyed BLAKE2s")
    return output
  }

  /// WireGuard's key derivation: HKDF (RFC 5869) with this HMAC, `count` keys of 32 bytes.
  static func derive(_ chainingKey: [UInt8], _ input: [UInt8], count: Int) -> [[UInt8]] {
    var secret = hmac(key: chainingKey, input)
    defer { erase(&secret) }
    var keys: [[UInt8]] = []
    for number in 1...count {
      keys.append(hmac(key: secret, (keys.last ?? []) + [UInt8(number)]))
    }
    return keys
  }
}

/// Overwrites bytes so that they cannot be found in memory later.
func erase(_ bytes: inout [UInt8]) {
  bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
}
