internal import CPoW

/// The two seeded matrices of a layer, and their exact product. A has values 0...127, B -128...127;
/// a row of A, or a column of B, can be made alone.
struct Matrices: Sendable {
  /// Rows and columns of a tile, whose digest is a leaf of the tree over the product.
  static let tile = 32

  let key: [UInt32]
  let layer: UInt32
  let size: Int
  let kernel: Kernel

  /// The matrices under the first eight bytes of `seed`.
  init(seed: [UInt8], layer: Int, size: Int, kernel: Kernel = .fastestProduct) {
    key = Words.words(seed.prefix(8))
    self.layer = UInt32(layer)
    self.size = size
    self.kernel = kernel
  }

  /// Rows of A, one after the other.
  func rows(from first: Int, count: Int) -> [UInt8] { lines(side: 0, first, count) }

  /// Columns of B, one after the other.
  func columns(from first: Int, count: Int) -> [Int8] {
    lines(side: 1, first, count).map { Int8(bitPattern: $0) }
  }

  private func lines(side: UInt32, _ first: Int, _ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count * size) { buffer, filled in
      guard let start = buffer.baseAddress else { return }
      write(side: side, first, count, to: start)
      filled = count * size
    }
  }

  private func write(
    side: UInt32, _ first: Int, _ count: Int, to out: UnsafeMutablePointer<UInt8>
  ) {
    if kernel == .swift {
      for (place, byte) in portableLines(side: side, first, count).enumerated() {
        out[place] = byte
      }
    } else {
      iorun_pow_rows(
        kernel.code, key, layer, side, UInt32(first), UInt32(count), UInt32(size), out)
    }
  }

  /// Orders rows of A, in fours, as ``product(_:_:rows:columns:into:)`` wants them.
  func packedRows(from first: Int, count: Int) -> [UInt8] {
    let group = 4
    var plain = [UInt8](repeating: 0, count: group * size)
    return [UInt8](unsafeUninitializedCapacity: count * size) { buffer, filled in
      guard let start = buffer.baseAddress else { return }
      // Few at a time: they are still in the first cache when they are ordered.
      for row in stride(from: 0, to: count, by: group) {
        write(side: 0, first + row, group, to: &plain)
        iorun_pow_pack_a(plain, UInt32(group), UInt32(size), start + row * size)
      }
      filled = count * size
    }
  }

  /// Writes columns of B, in sixteens, ordered as ``product(_:_:rows:columns:into:)`` wants them.
  func packColumns(from first: Int, count: Int, into packed: UnsafeMutablePointer<Int8>) {
    let group = 16
    var plain = [UInt8](repeating: 0, count: group * size)
    for column in stride(from: 0, to: count, by: group) {
      write(side: 1, first + column, group, to: &plain)
      plain.withUnsafeBytes { bytes in
        iorun_pow_pack_b(
          bytes.baseAddress?.assumingMemoryBound(to: Int8.self), UInt32(group), UInt32(size),
          packed + column * size)
      }
    }
  }

  /// The product of packed rows and columns, row by row.
  func product(
    _ rows: [UInt8], _ columns: UnsafePointer<Int8>, rows rowCount: Int, columns columnCount: Int,
    into product: inout [Int32]
  ) {
    precondition(
      rows.count == rowCount * size && product.count >= rowCount * columnCount, "sizes that fit")
    iorun_pow_product(
      kernel.code, rows, columns, UInt32(rowCount), UInt32(columnCount), UInt32(size), &product)
  }

  /// One tile of the product as its leaf has it: 32 rows of 32 numbers, four bytes each,
  /// little-endian.
  func tileBytes(row: Int, column: Int) -> [UInt8] {
    let side = Self.tile
    var values = [Int32](repeating: 0, count: side * side)
    if kernel == .swift {
      let (a, b) = (
        rows(from: row * side, count: side), columns(from: column * side, count: side)
      )
      for i in 0..<side {
        for j in 0..<side {
          var sum: Int32 = 0
          for k in 0..<size { sum &+= Int32(a[i * size + k]) &* Int32(b[j * size + k]) }
          values[i * side + j] = sum
        }
      }
    } else {
      var packed = [Int8](repeating: 0, count: side * size)
      packColumns(from: column * side, count: side, into: &packed)
      let rows = packedRows(from: row * side, count: side)
      product(rows, packed, rows: side, columns: side, into: &values)
    }
    return values.withUnsafeBytes { Array($0) }
  }

  /// Freivalds' check of a whole product mod 2^61 - 1: false for a wrong one, but for one chance in
  /// 2^61. `vector` is random, below 2^61 - 1, and chosen after the product.
  func isProduct(_ product: [Int32], vector: [UInt64]) -> Bool {
    precondition(product.count == size * size && vector.count == size, "sizes that fit")
    var work = [UInt64](repeating: 0, count: size)
    return iorun_pow_freivalds(
      rows(from: 0, count: size), columns(from: 0, count: size), product, UInt32(size), vector,
      &work) == 1
  }

  /// Philox 4x32-10 (Salmon et al., SC'11), as in C.
  private func portableLines(side: UInt32, _ first: Int, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count * size)
    let mask: UInt32 = side == 0 ? 0x7f7f_7f7f : .max
    for line in first..<first + count {
      for block in 0..<size / 16 {
        var x = SIMD4<UInt32>(UInt32(block), UInt32(line), side, layer)
        var (k0, k1) = (key[0], key[1])
        for _ in 0..<10 {
          let (p0, p1) = (0xD251_1F53 * UInt64(x[0]), 0xCD9E_8D57 * UInt64(x[2]))
          x = SIMD4(
            UInt32(p1 >> 32) ^ x[1] ^ k0, UInt32(truncatingIfNeeded: p1),
            UInt32(p0 >> 32) ^ x[3] ^ k1, UInt32(truncatingIfNeeded: p0))
          k0 &+= 0x9E37_79B9
          k1 &+= 0xBB67_AE85
        }
        for word in 0..<4 {
          withUnsafeBytes(of: (x[word] & mask).littleEndian) { bytes.append(contentsOf: $0) }
        }
      }
    }
    return bytes
  }
}
