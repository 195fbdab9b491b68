import Foundation
import IorunCrypto
import Testing

@testable import IorunPoW

@Suite("Kernels")
struct KernelTests {
  @Test("every kernel gives the known digests", arguments: Kernel.forHash)
  func knownDigests(kernel: Kernel) {
    #expect(KernelSelfTest.hash(kernel))
  }

  @Test("every kernel gives the known chains, labels and walks", arguments: Kernel.forChain)
  func knownChains(kernel: Kernel) {
    #expect(KernelSelfTest.chain(kernel))
  }

  @Test("every kernel gives the known product", arguments: Kernel.forProduct)
  func knownProducts(kernel: Kernel) {
    #expect(KernelSelfTest.product(kernel))
  }

  @Test("the self-test passes as a whole, and every list has the portable path")
  func selfTest() throws {
    try KernelSelfTest.run()
    for list in [Kernel.forHash, Kernel.forChain, Kernel.forProduct] {
      #expect(list.contains(.swift) && list.contains(.scalar))
    }
    #expect(Kernel.forHash.contains(.fastestHash))
  }

  @Test("what a search finds is what OpenSSL computes", arguments: Kernel.forHash)
  func againstOpenSSL(kernel: Kernel) {
    var generator = SeededGenerator(state: 11)
    let prefix = (0..<64).map { _ in UInt8.random(in: 0...255, using: &generator) }
    var search = HashSearch(prefix: prefix, epoch: 480_000)
    search.high = .random(in: 0 ... .max, using: &generator)
    var found = [UInt32](repeating: 0, count: 512)
    // Across the wrap of the nonce's low half, and of a length that no vector divides.
    let (hits, tried) = search.run(
      kernel, from: .max - 500, count: 1009, threshold: 0x0fff_ffff, into: &found)
    var expected: [UInt32] = []
    for step in 0..<UInt32(1009) {
      let low = (UInt32.max - 500) &+ step
      let tail = Words.bytes([low, search.high]) + Words.bytes(UInt64(480_000))
      let digest = SHA256.digest(of: prefix + tail).bytes
      if digest[0] < 16 { expected.append(low) }
      if step % 100 == 0 {
        let nonce = UInt64(search.high) << 32 | UInt64(low)
        #expect(
          search.values(of: [nonce], kernel)[0]
            == digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
      }
    }
    #expect(tried == 1009)
    #expect(Array(found.prefix(hits)) == expected)
  }

  @Test(
    "a search stops where there is no more room, and can go on there", arguments: Kernel.forHash)
  func fullBuffer(kernel: Kernel) {
    let search = HashSearch(prefix: [UInt8](repeating: 3, count: 64))
    var all = [UInt32](repeating: 0, count: 400)
    let whole = search.run(kernel, from: 5, count: 400, threshold: .max / 4, into: &all)
    var pieces: [UInt32] = []
    var (next, left): (UInt32, UInt32) = (5, 400)
    while left > 0 {
      var some = [UInt32](repeating: 0, count: 7)
      let part = search.run(kernel, from: next, count: left, threshold: .max / 4, into: &some)
      #expect(part.tried > 0)
      pieces += some.prefix(part.found)
      (next, left) = (next + part.tried, left - part.tried)
    }
    #expect(pieces == Array(all.prefix(whole.found)))
    #expect(whole.found > 50)
  }

  @Test("chains, labels and walks are the same for any number of lanes", arguments: Kernel.forChain)
  func lanes(kernel: Kernel) {
    let seed = (0..<16).map { UInt8($0 * 3) }
    let (portable, chain) = (Chain(seed: seed, kernel: .swift), Chain(seed: seed, kernel: kernel))
    let labels = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * 64)
    defer { labels.deallocate() }
    chain.fill(labels, first: 1 << 33, count: 64, steps: 2)
    for count in 1...8 {
      let tags = (0..<UInt32(count)).map { $0 &* 77 }
      var expected = (0..<8 * UInt32(count)).map { $0 &* 0x9E37_79B9 }
      var states = expected
      portable.advance(&expected, tags: tags, steps: 3)
      chain.advance(&states, tags: tags, steps: 3)
      #expect(states == expected)
      portable.walk(&expected, tags: tags, labels: labels, count: 64, steps: 5)
      chain.walk(&states, tags: tags, labels: labels, count: 64, steps: 5)
      #expect(states == expected)
    }
  }

  @Test(
    "a product of every kernel passes Freivalds' check, and one wrong number does not",
    arguments: Kernel.forProduct.filter { $0 != .swift })
  func freivalds(kernel: Kernel) {
    let size = 128
    let matrices = Matrices(seed: [1, 2, 3, 4, 5, 6, 7, 8], layer: 1, size: size, kernel: kernel)
    var packed = [Int8](repeating: 0, count: size * size)
    matrices.packColumns(from: 0, count: size, into: &packed)
    var product = [Int32](repeating: 0, count: size * size)
    matrices.product(
      matrices.packedRows(from: 0, count: size), packed, rows: size, columns: size, into: &product)
    var generator = SeededGenerator(state: 5)
    let vector = (0..<size).map { _ in UInt64.random(in: 0..<(1 << 61) - 1, using: &generator) }
    #expect(matrices.isProduct(product, vector: vector))
    // Deltas that vanish mod 2^32 for even vectors, and small ones.
    for delta in [Int32.min, 1, -1, 1 << 16] {
      var wrong = product
      wrong[777] = wrong[777] &+ delta
      #expect(!matrices.isProduct(wrong, vector: vector))
    }
    // The tiles are cut out of this very product.
    let tile = matrices.tileBytes(row: 1, column: 2)
    for (i, j) in [(0, 0), (3, 31), (31, 5)] {
      let value = product[(32 + i) * size + 64 + j]
      let place = 4 * (32 * i + j)
      #expect(
        withUnsafeBytes(of: value.littleEndian) { Array($0) } == Array(tile[place..<place + 4]))
    }
  }

  @Test(
    "rows and columns of every kernel are the same, with seven bits in A",
    arguments: Kernel.forProduct)
  func seededBytes(kernel: Kernel) {
    let seed: [UInt8] = [9, 8, 7, 6, 5, 4, 3, 2]
    let expected = Matrices(seed: seed, layer: 3, size: 128, kernel: .swift)
    let matrices = Matrices(seed: seed, layer: 3, size: 128, kernel: kernel)
    #expect(matrices.rows(from: 5, count: 3) == expected.rows(from: 5, count: 3))
    #expect(matrices.columns(from: 127, count: 1) == expected.columns(from: 127, count: 1))
    // More blocks than go into a vector at once, and some that do not fill one.
    for size in [16, 112, 400] {
      let (wide, narrow) = (
        Matrices(seed: seed, layer: 1, size: size, kernel: kernel),
        Matrices(seed: seed, layer: 1, size: size, kernel: .swift)
      )
      #expect(wide.rows(from: 2, count: 2) == narrow.rows(from: 2, count: 2))
      #expect(wide.columns(from: 2, count: 2) == narrow.columns(from: 2, count: 2))
    }
    #expect(matrices.rows(from: 0, count: 8).allSatisfy { $0 < 128 })
    #expect(matrices.columns(from: 0, count: 8).contains { $0 < 0 })
  }
}
