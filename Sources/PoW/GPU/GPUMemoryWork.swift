internal import CPoW
public import IorunCore
internal import Synchronization

/// The labels of `gpu.mem` in a GPU's memory. One table serves all rounds of an epoch.
public final class GPULabelTable: Sendable {
  /// The seed of the labels (``Challenge/tableSeed``).
  public let seed: Digest
  /// How many labels.
  public let count: Int
  let memory: GPUMemory

  init(seed: Digest, count: Int, on gpu: GPUDevice) throws {
    (self.seed, self.count) = (seed, count)
    memory = try gpu.allocate(32 * count)
  }
}

/// Fills a GPU's memory with labels where they are not there yet, then walks over them, a thread a
/// walker; the trees over the ways are the machine's own work.
final class GPUMemoryWork: PuzzleWork {
  private let puzzle: MemoryPuzzle
  private let seed: [UInt8]
  private let gpu: GPUDevice
  private let table: GPULabelTable
  private let isFilled: Bool
  /// Where the walkers are, and the states between their segments.
  private let states, kept: GPUMemory
  private let next = Atomic<Int>(0)
  private let ways = Mutex<[UInt8]>([])
  private let trees: Mutex<[MerkleTree?]>

  /// Takes the GPU's memory. Throws `noMemoryForProof`.
  init(
    _ challenge: Challenge, _ puzzle: MemoryPuzzle, on gpu: GPUDevice, table: GPULabelTable?
  ) throws {
    guard let tableSeed = challenge.tableSeed else {
      throw IorunError(.internalFault, "a memory puzzle has a table")
    }
    self.puzzle = puzzle
    self.gpu = gpu
    seed = challenge.seed.bytes
    isFilled =
      table?.seed == tableSeed && table?.count == puzzle.labels && table?.memory.device === gpu
    if let table, isFilled {
      self.table = table
    } else {
      self.table = try GPULabelTable(seed: tableSeed, count: puzzle.labels, on: gpu)
    }
    states = try gpu.allocate(32 * puzzle.cores * MemoryPuzzle.walkersPerCore)
    kept = try gpu.allocate(32 * puzzle.leafCount * puzzle.cores)
    trees = Mutex(Array(repeating: nil, count: puzzle.cores))
  }

  /// Fill, walk, trees.
  let phases = 3

  var total: UInt64? {
    UInt64(puzzle.steps + (isFilled ? 0 : puzzle.labels * puzzle.labelSteps))
  }

  func begin(phase: Int) {}

  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) throws {
    switch phase {
    case 0 where thread == 0 && !isFilled: try table.fill(labelSteps: puzzle.labelSteps, control)
    case 1 where thread == 0: try walk(control)
    case 2: makeTrees(control)
    default: break
    }
  }

  private static func key(_ seed: [UInt8]) -> [UInt64] {
    Words.words(seed.prefix(16)).map { UInt64($0) }
  }

  private func walk(_ control: WorkControl) throws {
    let walkers = puzzle.cores * MemoryPuzzle.walkersPerCore
    let starts = (0..<walkers).map { MemoryWork.start(seed: seed, walker: UInt32($0)) }
    try gpu.upload(starts.flatMap { $0 }, to: states)
    let key = Self.key(seed)
    for segment in 1...puzzle.segments {
      guard control.pass() else { return }
      // A warp or two a block: few walkers then use many multiprocessors.
      try gpu.start(
        IORUN_GPU_WALK, blocks: (walkers + 63) / 64, threads: 64,
        key + [
          table.memory.address, UInt64(puzzle.labels), states.address, UInt64(walkers),
          UInt64(puzzle.segmentSteps), kept.address, UInt64(puzzle.segments + 1), UInt64(segment),
        ])
      try gpu.wait()
      control.add(UInt64(walkers * puzzle.segmentSteps))
    }
    var bytes = try gpu.download(kept, byteCount: kept.byteCount)
    for (walker, start) in starts.enumerated() {
      let place = 32 * walker * (puzzle.segments + 1)
      bytes.replaceSubrange(place..<place + 32, with: Words.bytes(start))
    }
    ways.withLock { $0 = bytes }
  }

  private func makeTrees(_ control: WorkControl) {
    let (ways, length) = (ways.withLock { $0 }, 32 * puzzle.leafCount)
    while control.pass() {
      let group = next.wrappingAdd(1, ordering: .relaxed).oldValue
      guard group < puzzle.cores, ways.count == length * puzzle.cores else { return }
      let tree = MerkleTree(leaves: Array(ways[length * group..<length * (group + 1)]), width: 32)
      trees.withLock { $0[group] = tree }
    }
  }

  func finish() throws -> Solution {
    let (ways, segments) = (ways.withLock { $0 }, puzzle.segments)
    let (trees, length) = (trees.withLock { $0.compactMap { $0 } }, 32 * puzzle.leafCount)
    return .committed(
      CommittedWork(roots: trees.map(\.root), gpuTable: table) { group, index in
        let leaf = index / segments * (segments + 1) + index % segments
        let leaves = [leaf, leaf + 1]
        return OpenedPiece(
          root: group, index: index,
          values: leaves.compactMap {
            Digest(bytes: ways[length * group + 32 * $0..<length * group + 32 * $0 + 32])
          }, paths: leaves.map { trees[group].path(to: $0) })
      })
  }
}
