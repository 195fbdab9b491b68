internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// The CPU's way through a product puzzle: each layer's B is made and packed by all threads, then
/// blocks of rows are multiplied, and their tiles hashed while they are in the cache.
final class ProductWork: PuzzleWork {
  /// Rows of a block: four rows of tiles.
  private static let blockRows = 128
  /// Multiplications between two looks at the control: a few milliseconds, and more in plain C.
  private var block: Int { kernel == .scalar ? 1 << 24 : 1 << 28 }

  private let puzzle: ProductPuzzle
  private let seed: [UInt8]
  private let kernel: Kernel
  private let columns: PackedColumns
  private let next = Atomic<Int>(0)
  private let layer: Mutex<Layer>
  private let trees = Mutex<[MerkleTree]>([])

  private struct Layer: Sendable {
    var matrices: Matrices
    var tiles: [UInt8]
  }

  /// B, ordered for the kernels. Safe to send: in one phase threads write disjoint columns, in the
  /// next they only read; the solver joins them between.
  private final class PackedColumns: @unchecked Sendable {
    let base: UnsafeMutablePointer<Int8>
    init(count: Int) { base = .allocate(capacity: count) }
    deinit { base.deallocate() }
  }

  init(_ challenge: Challenge, _ puzzle: ProductPuzzle, kernel: Kernel) throws {
    self.puzzle = puzzle
    // Sixteen columns at a time have no Swift twin: it makes tiles one by one.
    self.kernel = kernel
    seed = challenge.seed.bytes
    columns = PackedColumns(count: puzzle.size * puzzle.size)
    layer = Mutex(
      Layer(matrices: Matrices(seed: seed, layer: 0, size: puzzle.size, kernel: kernel), tiles: []))
  }

  var phases: Int { 2 * puzzle.layers }

  var total: UInt64? { UInt64(puzzle.multiplications) }

  /// The seed of a layer's matrices: nobody knows it before the layer before is done.
  static func layerSeed(_ seed: [UInt8], layer: Int, before: Digest?) -> [UInt8] {
    let before = before?.bytes ?? [UInt8](repeating: 0, count: Digest.byteCount)
    return SHA256.digest(
      of: Array("iorun/pow/1|product".utf8) + seed + Words.bytes(UInt32(layer)) + before
    ).bytes
  }

  func begin(phase: Int) {
    next.store(0, ordering: .relaxed)
    guard phase % 2 == 0 else { return }
    closeLayer()
    let number = phase / 2
    let before = trees.withLock { $0.last?.root }
    let matrices = Matrices(
      seed: Self.layerSeed(seed, layer: number, before: before), layer: number, size: puzzle.size,
      kernel: kernel)
    layer.withLock {
      $0 = Layer(matrices: matrices, tiles: [UInt8](repeating: 0, count: 32 * puzzle.tileCount))
    }
  }

  /// Makes the tree of the layer that is done, if there is one.
  private func closeLayer() {
    let tiles = layer.withLock { $0.tiles }
    guard !tiles.isEmpty else { return }
    trees.withLock { $0.append(MerkleTree(leafDigests: tiles)) }
  }

  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) {
    let matrices = layer.withLock { $0.matrices }
    if phase % 2 == 0 {
      while kernel != .swift, control.pass() {
        let first = next.wrappingAdd(64, ordering: .relaxed).oldValue
        guard first < puzzle.size else { return }
        matrices.packColumns(from: first, count: 64, into: columns.base + first * puzzle.size)
      }
    } else {
      while control.pass() {
        let row = next.wrappingAdd(Self.blockRows, ordering: .relaxed).oldValue
        guard row < puzzle.size else { return }
        multiply(matrices, row: row, control)
      }
    }
  }

  private func multiply(_ matrices: Matrices, row: Int, _ control: WorkControl) {
    let (size, side) = (puzzle.size, Matrices.tile)
    if kernel == .swift {
      for tileRow in row / side..<(row + Self.blockRows) / side {
        for column in 0..<size / side where control.pass() {
          store(matrices.tileBytes(row: tileRow, column: column), row: tileRow, column: column)
        }
      }
      return
    }
    let rows = matrices.packedRows(from: row, count: Self.blockRows)
    let width = max(64, min(size, block / (Self.blockRows * size) / 64 * 64))
    var values = [Int32](repeating: 0, count: Self.blockRows * width)
    var tile = [UInt8](repeating: 0, count: 4 * side * side)
    for first in stride(from: 0, to: size, by: width) {
      guard control.pass() else { return }
      let count = min(width, size - first)
      matrices.product(
        rows, columns.base + first * size, rows: Self.blockRows, columns: count, into: &values)
      for tileRow in 0..<Self.blockRows / side {
        for tileColumn in 0..<count / side {
          values.withUnsafeBytes { from in
            tile.withUnsafeMutableBytes { to in
              for line in 0..<side {
                let start = 4 * ((tileRow * side + line) * count + tileColumn * side)
                to[4 * side * line..<4 * side * (line + 1)].copyBytes(
                  from: from[start..<start + 4 * side])
              }
            }
          }
          store(tile, row: row / side + tileRow, column: first / side + tileColumn)
        }
      }
      control.add(UInt64(Self.blockRows * count * size))
    }
  }

  private func store(_ tile: [UInt8], row: Int, column: Int) {
    let digest = MerkleTree.leafDigest(of: tile).bytes
    let place = 32 * (row * (puzzle.size / Matrices.tile) + column)
    layer.withLock { $0.tiles.replaceSubrange(place..<place + 32, with: digest) }
  }

  func finish() throws -> Solution {
    closeLayer()
    let trees = trees.withLock { $0 }
    return .committed(
      CommittedWork(roots: trees.map(\.root)) { layer, tile in
        OpenedPiece(root: layer, index: tile, paths: [trees[layer].path(to: tile)])
      })
  }
}
