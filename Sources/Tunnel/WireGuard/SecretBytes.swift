internal import COpenSSL

/// Secret bytes that are erased when nobody needs them any more.
final class SecretBytes: @unchecked Sendable {
  // Proof of sendability: written in `init` and `deinit` only, when there is one owner.
  private var storage: [UInt8]

  /// Takes the bytes, which the caller does not keep.
  init(_ bytes: consuming [UInt8]) { storage = bytes }

  /// Reads the bytes, of which no copy may be kept.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    storage.withUnsafeBytes(body)
  }

  deinit { erase(&storage) }
}
