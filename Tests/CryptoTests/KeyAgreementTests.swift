import IorunCore
import IorunCrypto
import Testing

@Suite("X25519, ChaCha20-Poly1305, HKDF")
struct KeyAgreementTests {
  private func bytes(_ hex: String) -> [UInt8] {
    stride(from: 0, to: hex.count, by: 2).compactMap { offset in
      let start = hex.index(hex.startIndex, offsetBy: offset)
      return UInt8(hex[start...].prefix(2), radix: 16)
    }
  }

  @Test("the second pair of RFC 7748 section 6.1 has its public half and agrees on its secret")
  func agreement() throws {
    let bob = try X25519(
      secretKey: bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    #expect(
      bob.publicKey
        == bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
    let alice = bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    #expect(
      try bob.agree(with: alice)
        == bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"))
    let (one, other) = (try X25519(), try X25519())
    #expect(try one.agree(with: other.publicKey) == other.agree(with: one.publicKey))
  }

  @Test("a key of small order is refused")
  func smallOrder() throws {
    let key = try X25519()
    #expect(throws: IorunError.self) {
      try key.agree(with: [UInt8](repeating: 0, count: 32))
    }
    #expect(throws: IorunError.self) { try key.agree(with: [1, 2, 3]) }
  }

  @Test("HKDF gives the bytes of RFC 5869, case 1")
  func derivation() throws {
    let derived = try HKDF.derive(
      [UInt8](repeating: 0x0b, count: 22), salt: Array(0...12), info: Array(0xf0...0xf9),
      byteCount: 42)
    #expect(
      derived
        == bytes(
          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"))
  }

  @Test("what is sealed opens, and with any bit flipped it does not")
  func sealing() throws {
    let key = try SecureRandom.bytes(32)
    let nonce = try SecureRandom.bytes(12)
    let sealed = try ChaCha20Poly1305.seal([1, 2, 3], key: key, nonce: nonce, header: [9])
    #expect(ChaCha20Poly1305.open(sealed[...], key: key, nonce: nonce, header: [9]) == [1, 2, 3])
    #expect(ChaCha20Poly1305.open(sealed[...], key: key, nonce: nonce, header: [8]) == nil)
    for bit in 0..<sealed.count * 8 {
      var edited = sealed
      edited[bit / 8] ^= 1 << (bit % 8)
      #expect(ChaCha20Poly1305.open(edited[...], key: key, nonce: nonce, header: [9]) == nil)
    }
    #expect(ChaCha20Poly1305.open([1, 2], key: key, nonce: nonce) == nil)
    let empty = try ChaCha20Poly1305.seal([], key: key, nonce: nonce)
    #expect(ChaCha20Poly1305.open(empty[...], key: key, nonce: nonce) == [])
  }
}
