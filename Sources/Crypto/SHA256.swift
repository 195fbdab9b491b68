internal import COpenSSL
public import Foundation
public import IorunCore

/// SHA-256 (FIPS 180-4) by OpenSSL, which uses the processor's own instructions where it has them.
public enum SHA256 {
  /// OpenSSL's implementation, looked up once: a lookup for every digest costs more than a short
  /// digest does. Safe to share: an `EVP_MD` never changes and OpenSSL counts its references with
  /// atomics.
  nonisolated(unsafe) static let algorithm: OpaquePointer? = EVP_MD_fetch(nil, "SHA256", nil)

  /// The digest of an array.
  public static func digest(of bytes: [UInt8]) -> Digest {
    bytes.withUnsafeBytes { digest(of: $0) }
  }

  /// The digest of anything whose bytes lie in one piece: `Data`, a slice, a raw buffer.
  public static func digest(of bytes: some ContiguousBytes) -> Digest {
    bytes.withUnsafeBytes { digest(of: $0) }
  }

  /// The digest of a buffer.
  public static func digest(of bytes: UnsafeRawBufferPointer) -> Digest {
    makeDigest { output in
      let done = EVP_Digest(bytes.baseAddress, bytes.count, output, nil, algorithm, nil)
      precondition(done == 1, "OpenSSL has no SHA-256: its installation or configuration is broken")
    }
  }

  static func makeDigest(_ fill: (UnsafeMutablePointer<UInt8>) -> Void) -> Digest {
    let bytes = [UInt8](unsafeUninitializedCapacity: Digest.byteCount) { buffer, count in
      if let base = buffer.baseAddress { fill(base) }
      count = Digest.byteCount
    }
    guard let digest = Digest(bytes: bytes) else {
      preconditionFailure("a SHA-256 digest has \(Digest.byteCount) bytes")
    }
    return digest
  }
}
