internal import COpenSSL
internal import IorunCore

/// Random bytes for keys, secrets and challenges, from OpenSSL's generator, which the kernel seeds.
public enum SecureRandom {
  /// Draws `count` bytes. Throws `internalFault` where the generator has no seed.
  public static func bytes(_ count: Int) throws -> [UInt8] {
    guard count > 0 else { return [] }
    var bytes = [UInt8](repeating: 0, count: count)
    guard let length = Int32(exactly: count), RAND_bytes(&bytes, length) == 1 else {
      throw OpenSSLFailure.error("no random bytes could be drawn")
    }
    return bytes
  }
}
