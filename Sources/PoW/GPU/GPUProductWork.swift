internal import CPoW
internal import IorunCore
internal import Synchronization

/// The GPU's way through a product puzzle: everything stays in its memory, also the trees; only a
/// layer's root comes back, of which the next layer's seed is made.
final class GPUProductWork: PuzzleWork {
  /// Rows between two looks at the control: a millisecond on a large GPU.
  private static let slabRows = 2048

  private let puzzle: ProductPuzzle
  private let seed: [UInt8]
  private let gpu: GPUDevice
  private let usesTensorCores: Bool
  private let a, b, c: GPUMemory
  /// The levels of each layer's tree, one after the other, the leaves' first.
  private let trees: [GPUMemory]
  private let levelCounts: [Int]
  private let roots = Mutex<[Digest]>([])

  /// Takes the GPU's memory. Throws `noMemoryForProof`.
  init(
    _ challenge: Challenge, _ puzzle: ProductPuzzle, on gpu: GPUDevice,
    usesTensorCores: Bool? = nil
  ) throws {
    self.puzzle = puzzle
    self.gpu = gpu
    self.usesTensorCores = usesTensorCores ?? gpu.hasTensorProduct
    seed = challenge.seed.bytes
    let size = puzzle.size
    levelCounts = MerkleTree.levelCounts(puzzle.tileCount)
    a = try gpu.allocate(size * size)
    b = try gpu.allocate(size * size)
    c = try gpu.allocate(4 * min(size, Self.slabRows) * size)
    let nodes = levelCounts.reduce(0, +)
    trees = try (0..<puzzle.layers).map { _ in try gpu.allocate(32 * nodes) }
  }

  var phases: Int { puzzle.layers }
  var total: UInt64? { UInt64(puzzle.multiplications) }

  func begin(phase: Int) {}

  // One thread feeds the GPU; the others have nothing to do.
  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) throws {
    guard thread == 0 else { return }
    let (size, tree) = (puzzle.size, trees[phase])
    let key = Words.words(
      ProductWork.layerSeed(seed, layer: phase, before: roots.withLock { $0.last }).prefix(8)
    ).map { UInt64($0) }
    for (side, memory) in [(UInt64(0), a), (1, b)] {
      try gpu.start(
        IORUN_GPU_LINES, count: size * size / 16,
        key + [UInt64(phase), side, UInt64(size), memory.address])
    }
    for row in stride(from: 0, to: size, by: Self.slabRows) {
      let rows = min(Self.slabRows, size - row)
      let block = usesTensorCores ? 128 : 64
      try gpu.start(
        usesTensorCores ? IORUN_GPU_PRODUCT_MMA : IORUN_GPU_PRODUCT_DP4A, blocks: size / block,
        rows: rows / block, threads: 256,
        [a.address, b.address, UInt64(size), UInt64(row), c.address])
      let side = size / Matrices.tile
      let tiles = rows / Matrices.tile * side
      try gpu.start(
        IORUN_GPU_TILES, count: tiles,
        [
          c.address, UInt64(size), UInt64(tiles),
          tree.address + UInt64(32 * (row / Matrices.tile) * side),
        ])
      try gpu.wait()
      control.add(UInt64(rows * size * size))
      guard control.pass() else { return }
    }
    var below = tree.address
    for (count, above) in zip(levelCounts, levelCounts.dropFirst()) {
      let next = below + UInt64(32 * count)
      try gpu.start(IORUN_GPU_NODES, count: above, [below, UInt64(count), next])
      below = next
    }
    let bytes = try gpu.download(tree, at: tree.byteCount - 32, byteCount: 32)
    guard let root = Digest(bytes: bytes) else { return }
    roots.withLock { $0.append(root) }
  }

  func finish() throws -> Solution {
    let trees = try trees.map { memory in
      let bytes = try gpu.download(memory, byteCount: memory.byteCount)
      var start = 0
      return MerkleTree(
        levels: levelCounts.map { count in
          defer { start += 32 * count }
          return Array(bytes[start..<start + 32 * count])
        })
    }
    return .committed(
      CommittedWork(roots: trees.map(\.root)) { layer, tile in
        OpenedPiece(root: layer, index: tile, paths: [trees[layer].path(to: tile)])
      })
  }
}
