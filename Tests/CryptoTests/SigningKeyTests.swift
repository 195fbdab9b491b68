import IorunCore
import IorunCrypto
import Testing

@Suite("Ed25519 keys")
struct SigningKeyTests {
  @Test("sign as RFC 8032, test 2, says")
  func knownAnswer() throws {
    let secret = try #require(
      Digest("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    let key = try SigningKey(rawRepresentation: secret.bytes)
    let hex = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    #expect(Digest(bytes: key.publicKey)?.description == hex)
    let signature = try key.sign([0x72])
    #expect(signature.prefix(4).elementsEqual([0x92, 0xa0, 0x09, 0xa9]))
    #expect(try key.verifyingKey.isValid(signature: signature, for: [0x72]))
  }

  @Test("a changed message, signature or key is not valid")
  func tampering() throws {
    let key = try SigningKey()
    let signature = try key.sign([1, 2, 3])
    let verifier = try key.verifyingKey
    #expect(verifier.isValid(signature: signature, for: [1, 2, 3]))
    #expect(!verifier.isValid(signature: signature, for: [1, 2, 4]))
    #expect(!verifier.isValid(signature: signature, for: []))
    for index in [0, 31, 32, 63] {
      var changed = signature
      changed[index] ^= 1
      #expect(!verifier.isValid(signature: changed, for: [1, 2, 3]))
    }
    #expect(try !SigningKey().verifyingKey.isValid(signature: signature, for: [1, 2, 3]))
  }

  @Test("a signature of another length is not valid", arguments: [0, 1, 63, 65, 1000])
  func wrongLength(count: Int) throws {
    let verifier = try SigningKey().verifyingKey
    #expect(!verifier.isValid(signature: [UInt8](repeating: 7, count: count), for: [1]))
  }

  @Test("a key of another length is refused", arguments: [0, 31, 33])
  func wrongKeyLength(count: Int) {
    let bytes = [UInt8](repeating: 1, count: count)
    #expect(throws: IorunError.self) { try SigningKey(rawRepresentation: bytes) }
    #expect(throws: IorunError.self) { try VerifyingKey(rawRepresentation: bytes) }
  }

  @Test("a key never shows its secret in text")
  func secrecy() throws {
    let key = try SigningKey()
    var dumped = ""
    dump(key, to: &dumped)
    #expect(!dumped.contains("\(key.rawRepresentation[0])\n"))
    #expect("\(key)" == "SigningKey(secret not shown)")
  }
}
