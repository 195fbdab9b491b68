internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// Fills the table where it is not there yet, then walks over it, 48 walkers a core.
final class MemoryWork: PuzzleWork {
  private let puzzle: MemoryPuzzle
  private let seed: [UInt8]
  private let table: LabelTable
  /// `nil` where the table is full already.
  private let filling: TableWork?
  private let kernel: Kernel
  private let trees: Mutex<[CoreWalk?]>

  /// The states between the segments of a core's walkers, and the tree over them.
  private struct CoreWalk: Sendable {
    var states: [UInt8]
    var tree: MerkleTree
  }

  init(_ challenge: Challenge, _ puzzle: MemoryPuzzle, table: LabelTable?, kernel: Kernel) throws {
    guard let tableSeed = challenge.tableSeed else {
      throw IorunError(.internalFault, "a memory puzzle has a table")
    }
    self.puzzle = puzzle
    self.kernel = kernel
    seed = challenge.seed.bytes
    if let table, table.seed == tableSeed, table.count == puzzle.labels {
      (self.table, filling) = (table, nil)
    } else {
      let work = try TableWork(
        seed: tableSeed, labels: puzzle.labels, labelSteps: puzzle.labelSteps, kernel: kernel)
      (self.table, filling) = (work.table, work)
    }
    trees = Mutex(Array(repeating: nil, count: puzzle.cores))
  }

  let phases = 2

  var total: UInt64? {
    UInt64(puzzle.steps) + (filling?.total ?? 0)
  }

  func begin(phase: Int) {}

  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) throws {
    if phase == 0 {
      try filling?.run(phase: 0, thread: thread, of: threads, control)
      return
    }
    for core in stride(from: thread, to: puzzle.cores, by: threads) {
      guard let walk = walk(core, control) else { return }
      trees.withLock { $0[core] = walk }
    }
  }

  private func walk(_ core: Int, _ control: WorkControl) -> CoreWalk? {
    let (walkers, leaves) = (MemoryPuzzle.walkersPerCore, puzzle.segments + 1)
    let tags = (0..<walkers).map { UInt32(core * walkers + $0) }
    var states = tags.flatMap { Self.start(seed: seed, walker: $0) }
    var kept = [UInt8](repeating: 0, count: 32 * puzzle.leafCount)
    let chain = Chain(seed: seed, kernel: kernel)
    for segment in 0...puzzle.segments {
      guard control.pass() else { return nil }
      if segment > 0 {
        chain.walk(
          &states, tags: tags, labels: table.base, count: UInt64(puzzle.labels),
          steps: UInt32(puzzle.segmentSteps))
        control.add(UInt64(walkers * puzzle.segmentSteps))
      }
      for walker in 0..<walkers {
        let place = 32 * (walker * leaves + segment)
        kept.withUnsafeMutableBytes { bytes in
          for word in 0..<8 {
            bytes.storeBytes(
              of: states[8 * walker + word].bigEndian, toByteOffset: place + 4 * word,
              as: UInt32.self)
          }
        }
      }
    }
    return CoreWalk(states: kept, tree: MerkleTree(leaves: kept, width: 32))
  }

  /// The first state of a walker.
  static func start(seed: [UInt8], walker: UInt32) -> [UInt32] {
    Words.words(
      SHA256.digest(of: Array("iorun/pow/1|walk".utf8) + seed + Words.bytes(walker)).bytes)
  }

  func finish() throws -> Solution {
    let (walks, segments) = (trees.withLock { $0.compactMap { $0 } }, puzzle.segments)
    let work = CommittedWork(roots: walks.map(\.tree.root), table: table) { core, index in
      let walk = walks[core]
      let leaf = index / segments * (segments + 1) + index % segments
      let leaves = [leaf, leaf + 1]
      return OpenedPiece(
        root: core, index: index,
        values: leaves.compactMap { Digest(bytes: walk.states[32 * $0..<32 * $0 + 32]) },
        paths: leaves.map { walk.tree.path(to: $0) })
    }
    return .committed(work)
  }
}
