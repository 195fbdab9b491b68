import IorunCrypto
import Testing

@testable import IorunTunnel

/// Known answers of what WireGuard is made of.
@Suite struct PrimitiveTests {
  @Test("BLAKE2s gives RFC 7693's digest of abc")
  func blake2s() {
    #expect(
      Blake2s.hash(Array("abc".utf8))
        == hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"))
    #expect(Blake2s.hash(Array("a".utf8), Array("bc".utf8)) == Blake2s.hash(Array("abc".utf8)))
  }

  @Test("key derivation gives the answers of wireguard-go's tests")
  func derivation() {
    let first = Blake2s.derive(hex("746573742d6b6579"), hex("746573742d696e707574"), count: 3)
    #expect(
      first == [
        hex("6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633"),
        hex("df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a"),
        hex("fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24"),
      ])
    let second = Blake2s.derive(
      hex("776972656775617264"), hex("776972656775617264"), count: 3)
    #expect(
      second == [
        hex("491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8"),
        hex("1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f"),
        hex("31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160"),
      ])
  }

  @Test("HChaCha20 gives the draft's answer")
  func hChaCha20() {
    let key = (0..<32).map { UInt8($0) }
    let nonce = hex("000000090000004a0000000031415927")
    #expect(
      ExtendedNonce.hChaCha20(key: key, nonce: nonce[...])
        == hex("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"))
  }

  @Test("XChaCha20-Poly1305 gives the draft's answer, and refuses a changed bit")
  func extendedNonce() throws {
    let plain = Array(
      """
      Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
      sunscreen would be it.
      """.utf8)
    let header = hex("50515253c0c1c2c3c4c5c6c7")
    let key = (0x80...0x9f).map { UInt8($0) }
    let nonce = (0x40...0x57).map { UInt8($0) }
    var sealed = try #require(
      ExtendedNonce.seal(plain, key: key, nonce: nonce, header: header))
    #expect(sealed.prefix(16) == hex("bd6d179d3e83d43b9576579493c0e939")[...])
    #expect(sealed.suffix(16) == hex("c0875924c1c7987947deafd8780acf49")[...])
    #expect(ExtendedNonce.open(sealed, key: key, nonce: nonce, header: header) == plain)
    sealed[3] ^= 1
    #expect(ExtendedNonce.open(sealed, key: key, nonce: nonce, header: header) == nil)
  }

  @Test("a message's code depends on every byte of key and message")
  func code() {
    let key = [UInt8](repeating: 7, count: 32)
    let code = Blake2s.code(key: key, [1, 2, 3])
    #expect(code.count == 16)
    #expect(code != Blake2s.code(key: key, [1, 2, 4]))
    #expect(code != Blake2s.code(key: [UInt8](repeating: 8, count: 32), [1, 2, 3]))
  }
}
