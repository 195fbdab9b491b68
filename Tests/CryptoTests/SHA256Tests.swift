import Foundation
import IorunCore
import IorunCrypto
import Testing

@Suite("SHA-256")
struct SHA256Tests {
  @Test(
    "gives the digests of FIPS 180-4",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ])
  func knownAnswers(text: String, expected: String) {
    #expect(SHA256.digest(of: Array(text.utf8)).description == expected)
  }

  @Test("a million bytes in pieces give the known digest")
  func streaming() {
    var hasher = SHA256.Hasher()
    for _ in 0..<1000 { hasher.update([UInt8](repeating: UInt8(ascii: "a"), count: 1000)) }
    #expect(
      hasher.finalize().description
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("a hasher starts anew after it has finished")
  func reuse() {
    var hasher = SHA256.Hasher()
    hasher.update([1, 2, 3])
    _ = hasher.finalize()
    hasher.update(Array("abc".utf8))
    #expect(hasher.finalize() == SHA256.digest(of: Array("abc".utf8)))
  }

  @Test("arrays, data and slices of the same bytes have one digest")
  func inputs() {
    let bytes = [UInt8](0..<200)
    let expected = SHA256.digest(of: bytes)
    #expect(SHA256.digest(of: Data(bytes)) == expected)
    #expect(SHA256.digest(of: ([9] + bytes)[1...]) == expected)
  }
}
