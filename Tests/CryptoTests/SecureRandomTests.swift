import IorunCrypto
import Testing

@Suite("Random bytes and comparison")
struct SecureRandomTests {
  @Test("two draws differ and have the length asked for")
  func draws() throws {
    let (first, second) = (try SecureRandom.bytes(32), try SecureRandom.bytes(32))
    #expect(first.count == 32)
    #expect(first != second)
    #expect(try SecureRandom.bytes(0).isEmpty)
  }

  @Test("comparison in constant time agrees with ==")
  func comparison() {
    #expect(constantTimeEqual([1, 2, 3], [1, 2, 3]))
    #expect(!constantTimeEqual([1, 2, 3], [1, 2, 4]))
    #expect(!constantTimeEqual([1, 2, 3], [1, 2]))
    #expect(constantTimeEqual([], []))
  }
}
