internal import COpenSSL
internal import IorunCore

/// HMAC with SHA-256 (RFC 2104): proves that whoever made a code has the key.
public enum HMACSHA256 {
  /// How many bytes a code has.
  public static let byteCount = 32

  /// The code of `message` under `key`.
  ///
  /// - Throws: `internalFault` where OpenSSL fails.
  public static func code(of message: [UInt8], key: [UInt8]) throws -> [UInt8] {
    var code = [UInt8](repeating: 0, count: byteCount)
    var count: UInt32 = 0
    guard HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &code, &count) != nil,
      count == UInt32(byteCount)
    else { throw OpenSSLFailure.error("no HMAC could be made") }
    return code
  }
}

/// Derives keys from secrets: HKDF with SHA-256 (RFC 5869).
public enum HKDF {
  /// `byteCount` (at most 8,160) bytes that nobody learns without `secret`; other `info`, other bytes.
  ///
  /// - Throws: `internalFault` where OpenSSL fails or `byteCount` is out of range.
  public static func derive(
    _ secret: [UInt8], salt: [UInt8] = [], info: [UInt8], byteCount: Int
  ) throws -> [UInt8] {
    guard (1...255 * HMACSHA256.byteCount).contains(byteCount) else {
      throw IorunError(.internalFault, "HKDF cannot give \(byteCount) bytes")
    }
    let extracted = try HMACSHA256.code(
      of: secret,
      key: salt.isEmpty ? [UInt8](repeating: 0, count: HMACSHA256.byteCount) : salt)
    var (block, derived): ([UInt8], [UInt8]) = ([], [])
    var counter: UInt8 = 1
    while derived.count < byteCount {
      block = try HMACSHA256.code(of: block + info + [counter], key: extracted)
      derived += block
      counter &+= 1
    }
    return Array(derived.prefix(byteCount))
  }
}
