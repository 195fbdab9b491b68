internal import COpenSSL
public import IorunCore

extension SHA256 {
  /// A digest that grows piece by piece, for content that is never in memory as a whole. Can be
  /// used again after `finalize`; allocates only when it is made.
  public struct Hasher: ~Copyable {
    private let context: OpaquePointer?

    /// Makes a hasher that has seen no bytes.
    public init() {
      context = EVP_MD_CTX_new()
      start()
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Adds bytes at the end.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
      let done = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
      precondition(done == 1, "OpenSSL refused bytes for a SHA-256 digest")
    }

    /// Adds bytes at the end.
    public mutating func update(_ bytes: [UInt8]) {
      bytes.withUnsafeBytes { update($0) }
    }

    /// The digest of all bytes so far; the hasher then starts anew.
    public mutating func finalize() -> Digest {
      let digest = SHA256.makeDigest { finish(into: $0) }
      start()
      return digest
    }

    /// Writes the digest of all bytes so far to the first 32 bytes of `output`, without an
    /// allocation; the hasher then starts anew.
    public mutating func finalize(into output: UnsafeMutableRawBufferPointer) {
      precondition(output.count >= Digest.byteCount, "a SHA-256 digest needs 32 bytes of room")
      if let base = output.bindMemory(to: UInt8.self).baseAddress { finish(into: base) }
      start()
    }

    private func start() {
      let done = EVP_DigestInit_ex2(context, SHA256.algorithm, nil)
      precondition(done == 1, "OpenSSL has no SHA-256: its installation or configuration is broken")
    }

    private func finish(into output: UnsafeMutablePointer<UInt8>) {
      let done = EVP_DigestFinal_ex(context, output, nil)
      precondition(done == 1, "OpenSSL did not finish a SHA-256 digest")
    }
  }
}
