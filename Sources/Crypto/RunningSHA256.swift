internal import COpenSSL
public import IorunCore

/// A SHA-256 over bytes that come in pieces.
public struct RunningSHA256: ~Copyable, Sendable {
  // Safe to send: a context belongs to this value alone, which cannot be copied.
  private nonisolated(unsafe) let context: OpaquePointer?

  /// Begins with no bytes.
  public init() {
    context = EVP_MD_CTX_new()
    let done = EVP_DigestInit_ex(context, SHA256.algorithm, nil)
    precondition(done == 1, "OpenSSL has no SHA-256: its installation or configuration is broken")
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Adds bytes.
  public mutating func update(_ bytes: some RandomAccessCollection<UInt8>) {
    let done = bytes.withContiguousStorageIfAvailable { buffer in
      EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
    }
    if done == nil { update(Array(bytes)) }
  }

  /// The digest of what was added so far; more may be added.
  public borrowing func digest() -> Digest {
    SHA256.makeDigest { output in
      let copy = EVP_MD_CTX_new()
      defer { EVP_MD_CTX_free(copy) }
      let done =
        EVP_MD_CTX_copy_ex(copy, context) == 1 && EVP_DigestFinal_ex(copy, output, nil) == 1
      precondition(done, "OpenSSL could not finish a digest")
    }
  }
}
