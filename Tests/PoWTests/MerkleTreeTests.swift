import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

@Suite("Merkle trees and sketches")
struct MerkleTreeTests {
  /// RFC 6962, section 2.1, word for word.
  private func root(_ leaves: ArraySlice<[UInt8]>) -> [UInt8] {
    if leaves.count == 1, let leaf = leaves.first { return SHA256.digest(of: [0] + leaf).bytes }
    var split = 1
    while split * 2 < leaves.count { split *= 2 }
    let middle = leaves.startIndex + split
    return SHA256.digest(of: [1] + root(leaves[..<middle]) + root(leaves[middle...])).bytes
  }

  @Test("roots are RFC 6962's, and every path leads there, for any number of leaves")
  func paths() {
    for count in 1...33 {
      let leaves = (0..<count).map { [UInt8($0), 1, 2, 3] }
      let tree = MerkleTree(leaves: leaves.flatMap { $0 }, width: 4)
      #expect(tree.root.bytes == root(leaves[...]))
      for (index, leaf) in leaves.enumerated() {
        let (path, digest) = (tree.path(to: index), MerkleTree.leafDigest(of: leaf))
        func isValid(_ path: [Digest], at index: Int, count: Int) -> Bool {
          MerkleTree.isValid(path, leaf: digest, index: index, count: count, root: tree.root)
        }
        #expect(isValid(path, at: index, count: count))
        #expect(!isValid(path, at: index + 1, count: count))
        #expect(!isValid(path + [digest], at: index, count: count))
        if !path.isEmpty { #expect(!isValid(Array(path.dropLast()), at: index, count: count)) }
        #expect(!isValid(path, at: -1, count: count))
      }
    }
  }

  @Test("an inner node is no leaf")
  func secondPreimage() {
    let tree = MerkleTree(leaves: [UInt8](0..<128), width: 32)
    let inner = MerkleTree(leaves: [UInt8](0..<64), width: 32).root
    #expect(
      !MerkleTree.isValid(
        Array(tree.path(to: 0).suffix(1)), leaf: inner, index: 0, count: 2,
        root: SHA256.digest(of: inner.bytes)))
    #expect(MerkleTree.leafDigest(of: [UInt8](0..<64)) != inner)
  }

  @Test("a sketch keeps the smallest digests, once each, in any order of insertion")
  func smallest() {
    var generator = SeededGenerator(state: 3)
    let values = (0..<2000).map { _ in UInt64.random(in: 0 ... .max, using: &generator) }
    var halves = [BottomK(capacity: 50), BottomK(capacity: 50)]
    for (index, value) in values.enumerated() {
      halves[index % 2].insert(value, nonce: UInt64(index))
      halves[index % 2].insert(value, nonce: UInt64(index))
    }
    halves[0].merge(halves[1])
    #expect(halves[0].entries.map(\.value) == Array(values.sorted().prefix(50)))
    #expect(UInt64(halves[0].threshold) == values.sorted()[49] >> 32)
  }

  @Test("the estimate of a sketch has no bias, and the spread that theory gives")
  func estimate() {
    var generator = SeededGenerator(state: 4)
    let tries = 1500
    let ratios = (0..<150).map { _ in
      var sketch = BottomK(capacity: 64)
      for nonce in 0..<tries {
        sketch.insert(.random(in: 0 ... .max, using: &generator), nonce: UInt64(nonce))
      }
      return BottomK.estimate(count: 64, largest: sketch.entries[63].value) / Double(tries)
    }
    let mean = ratios.reduce(0, +) / 150
    let deviation = (ratios.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 150).squareRoot()
    // 12.7 % by theory; the mean of 150 has a deviation of 1 %.
    #expect(abs(mean - 1) < 0.05)
    #expect(deviation > 0.09 && deviation < 0.17)
  }
}
