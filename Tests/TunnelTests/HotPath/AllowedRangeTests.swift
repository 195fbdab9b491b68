import CTunnel
import IorunCore
import TestSupport
import Testing

@testable import IorunTunnel

@Suite struct AllowedRangeTests {
  @Test("the most specific range wins, as a search through all of them says", arguments: [4, 5])
  func lookup(_ seed: UInt64) throws {
    var dice = SeededGenerator(seed: seed)
    var ranges: [IPPrefix: Int] = [:]
    for peer in 0..<300 {
      let isSix = dice.next() & 1 == 0
      // Few different bytes, so that ranges lie in each other.
      let bytes = dice.bytes(isSix ? 16 : 4).map { $0 & 3 }
      let address = try #require(IPAddress(bytes: bytes))
      let length = Int.random(in: 0...address.bitCount, using: &dice)
      ranges[try #require(IPPrefix(address, length: length)).masked] = peer
    }
    let list = ranges.map { ct_allowed($0.key, peer: $0.value) }
    let trie = ct_trie_create(list, list.count)
    defer { ct_trie_destroy(trie) }
    for _ in 0..<5000 {
      let isSix = dice.next() & 1 == 0
      let address = try #require(IPAddress(bytes: dice.bytes(isSix ? 16 : 4).map { $0 & 3 }))
      let expected = ranges.filter { $0.key.contains(address) }.max {
        $0.key.length < $1.key.length
      }
      #expect(
        Int(ct_trie_lookup(trie, address.bytes, isSix)) == expected?.value ?? -1, "\(address)")
    }
  }

  @Test("an empty table has nobody")
  func empty() {
    let trie = ct_trie_create(nil, 0)
    defer { ct_trie_destroy(trie) }
    #expect(ct_trie_lookup(trie, [10, 0, 0, 1], false) == -1)
  }
}
