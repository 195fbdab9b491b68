import CTunnel
import IorunCrypto
import TestSupport
import Testing

@Suite struct AeadTests {
  @Test("our composition seals what OpenSSL's does, and opens it only where nothing was changed")
  func sameAsPlain() throws {
    var dice = SeededGenerator(seed: 3)
    let key = dice.bytes(32)
    let aead = ct_aead_create(key)
    defer { ct_aead_destroy(aead) }
    let room = Int(ct_aead_room)
    for count in [0, 1, 15, 16, 17, 63, 64, 65, 500, 960, 1380, 1392, 9000] {
      let (plain, before) = (dice.bytes(count), dice.bytes(room))
      let counter = dice.next() >> 8
      var bytes = before + plain + [UInt8](repeating: 0, count: 16)
      let sealed = bytes.withUnsafeMutableBufferPointer {
        ct_aead_seal(aead, counter, $0.baseAddress.map { $0 + room }, count)
      }
      #expect(sealed == 0)
      let nonce =
        [0, 0, 0, 0] + (0..<8).map { UInt8(truncatingIfNeeded: counter >> UInt64(8 * $0)) }
      #expect(
        try Array(bytes[room...]) == ChaCha20Poly1305.seal(plain, key: key, nonce: nonce))
      #expect(Array(bytes[..<room]) == before, "what was lent is given back")

      func opened(_ sealed: [UInt8], _ counter: UInt64) -> [UInt8]? {
        var sealed = sealed
        var out = [UInt8](repeating: 0, count: room + count)
        let result = sealed.withUnsafeMutableBufferPointer { sealed in
          out.withUnsafeMutableBufferPointer { out in
            ct_aead_open(
              aead, counter, sealed.baseAddress.map { $0 + room }, count,
              out.baseAddress.map { $0 + room })
          }
        }
        return result == 0 ? Array(out[room...]) : nil
      }
      #expect(opened(bytes, counter) == plain)
      #expect(opened(bytes, counter + 1) == nil)
      for _ in 0..<8 {
        var forged = bytes
        forged[Int.random(in: room..<forged.count, using: &dice)] ^= UInt8.random(
          in: 1...255, using: &dice)
        #expect(opened(forged, counter) == nil)
      }
    }
  }
}
