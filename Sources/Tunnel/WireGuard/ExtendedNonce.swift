internal import IorunCrypto

/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): ChaCha20-Poly1305 whose nonce of 24 bytes may be
/// drawn at random. OpenSSL lacks its first step, HChaCha20, which is here.
enum ExtendedNonce {
  /// How many bytes a nonce has.
  static let byteCount = 24

  /// Encrypts `plain` and appends the tag, which also covers `header`.
  static func seal(_ plain: [UInt8], key: [UInt8], nonce: [UInt8], header: [UInt8]) -> [UInt8]? {
    try? ChaCha20Poly1305.seal(
      plain, key: subkey(key, nonce), nonce: shortNonce(nonce), header: header)
  }

  /// Decrypts what `seal` made; `nil` where it is not authentic.
  static func open(_ sealed: [UInt8], key: [UInt8], nonce: [UInt8], header: [UInt8]) -> [UInt8]? {
    ChaCha20Poly1305.open(
      sealed[...], key: subkey(key, nonce), nonce: shortNonce(nonce), header: header)
  }

  private static func shortNonce(_ nonce: [UInt8]) -> [UInt8] {
    [0, 0, 0, 0] + nonce[16..<24]
  }

  private static func subkey(_ key: [UInt8], _ nonce: [UInt8]) -> [UInt8] {
    hChaCha20(key: key, nonce: nonce[..<16])
  }

  /// HChaCha20 (section 2.2 of the draft): ChaCha20's rounds over key and nonce, of which the first
  /// and the last row are the result. No branch and no address depends on a secret.
  static func hChaCha20(key: [UInt8], nonce: ArraySlice<UInt8>) -> [UInt8] {
    func words(_ bytes: some Collection<UInt8>) -> [UInt32] {
      let bytes = Array(bytes)
      return stride(from: 0, to: bytes.count, by: 4).map { at in
        (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
      }
    }
    // "expand 32-byte k"
    var state: [UInt32] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]
    state += words(key) + words(nonce)
    func quarter(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
      func turn(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 - bits) }
      state[a] &+= state[b]
      state[d] = turn(state[d] ^ state[a], 16)
      state[c] &+= state[d]
      state[b] = turn(state[b] ^ state[c], 12)
      state[a] &+= state[b]
      state[d] = turn(state[d] ^ state[a], 8)
      state[c] &+= state[d]
      state[b] = turn(state[b] ^ state[c], 7)
    }
    for _ in 0..<10 {
      for column in 0..<4 { quarter(column, 4 + column, 8 + column, 12 + column) }
      for start in 0..<4 {
        quarter(start, 4 + (start + 1) % 4, 8 + (start + 2) % 4, 12 + (start + 3) % 4)
      }
    }
    return (state[0..<4] + state[12..<16]).flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
    }
  }
}
