internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// Computes the lanes, three in step on each core.
final class LaneWork: PuzzleWork {
  /// Steps between two looks at the control: a few milliseconds.
  private static let block: UInt64 = 1 << 15

  let phases = 1
  private let puzzle: LanePuzzle
  private let kernel: Kernel
  private let seed: [UInt8]
  /// The labels of each core's lanes, heap order, lane by lane; empty until the core is done.
  private let labels: Mutex<[[UInt8]]>

  init(_ challenge: Challenge, _ puzzle: LanePuzzle, kernel: Kernel) {
    self.puzzle = puzzle
    self.kernel = kernel
    seed = challenge.seed.bytes
    labels = Mutex(Array(repeating: [], count: puzzle.cores))
  }

  var total: UInt64? { UInt64(puzzle.lanes * puzzle.steps) }

  func begin(phase: Int) {}

  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) {
    for core in stride(from: thread, to: puzzle.cores, by: threads) {
      guard let done = labels(of: core, control) else { return }
      labels.withLock { $0[core] = done }
    }
  }

  /// `nil` when cancelled.
  private func labels(of core: Int, _ control: WorkControl) -> [UInt8]? {
    let count = LanePuzzle.lanesPerCore
    let tags = (0..<count).map { UInt32(core * count + $0) }
    let trees = tags.map { LaneTree(seed: seed, lane: $0, depth: puzzle.depth) }
    let chain = Chain(seed: seed, kernel: kernel)
    let stride = 32 << (puzzle.depth + 1)
    var labels = [UInt8](repeating: 0, count: count * stride)
    func label(_ lane: Int, _ node: Int) -> [UInt8] {
      let start = lane * stride + 32 * node
      return Array(labels[start..<start + 32])
    }
    for leaf in 1 << puzzle.depth..<2 << puzzle.depth {
      var (node, inputs) = (leaf, trees[0].leftSiblings(of: leaf))
      while true {
        var states: [UInt32] = []
        for lane in 0..<count {
          states += trees[lane].start(of: node, inputs: inputs.map { label(lane, $0) })
        }
        var left = UInt64(puzzle.nodeSteps)
        while left > 0 {
          guard control.pass() else { return nil }
          let steps = min(left, Self.block)
          chain.advance(&states, tags: tags, steps: steps)
          control.add(steps * UInt64(count))
          left -= steps
        }
        for lane in 0..<count {
          let bytes = Words.bytes(states[8 * lane..<8 * lane + 8])
          labels.replaceSubrange(
            lane * stride + 32 * node..<lane * stride + 32 * node + 32, with: bytes)
        }
        // A right child completes its parent.
        guard node & 1 == 1, node > 1 else { break }
        node >>= 1
        inputs = [2 * node, 2 * node + 1]
      }
    }
    return labels
  }

  func finish() throws -> Solution {
    let (labels, depth) = (labels.withLock { $0 }, puzzle.depth)
    let stride = 32 << (depth + 1)
    @Sendable func label(_ lane: Int, _ node: Int) -> Digest? {
      let start = lane % LanePuzzle.lanesPerCore * stride + 32 * node
      return Digest(bytes: labels[lane / LanePuzzle.lanesPerCore][start..<start + 32])
    }
    let work = CommittedWork(roots: (0..<puzzle.lanes).compactMap { label($0, 1) }) { lane, leaf in
      let path = (0..<depth).compactMap { label(lane, (((1 << depth) + leaf) >> $0) ^ 1) }
      return OpenedPiece(root: lane, index: leaf, paths: [path])
    }
    return .committed(work)
  }
}
