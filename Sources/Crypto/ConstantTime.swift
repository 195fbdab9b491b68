internal import COpenSSL

/// True where both arrays have the same bytes. Takes the same time wherever they differ, so that a
/// secret cannot be guessed byte by byte; only the lengths may be learned.
public func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}
