internal import IorunCore
internal import Synchronization

/// Searches for small digests until the time is over. Each thread has its own high half of the nonce,
/// its own sketch and its own threshold; sketches are merged at the end.
final class HashWork: PuzzleWork {
  /// Nonces between two looks at the clock and the control: about a millisecond.
  private static let largestBlock: UInt32 = 1 << 16

  let phases = 1
  let total: UInt64? = nil
  private let puzzle: HashPuzzle
  private let kernel: Kernel
  private let search: HashSearch
  private let end = Mutex(ContinuousClock.now)
  private let merged = Mutex(BottomK())

  init(_ challenge: Challenge, _ puzzle: HashPuzzle, kernel: Kernel) {
    self.puzzle = puzzle
    self.kernel = kernel
    search = HashSearch(prefix: challenge.hashPrefix, epoch: challenge.epoch)
  }

  func begin(phase: Int) {
    end.withLock { $0 = ContinuousClock.now + .milliseconds(puzzle.milliseconds) }
  }

  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) {
    var (search, sketch) = (search, BottomK())
    var found = [UInt32](repeating: 0, count: 4096)
    // The swift path is a hundred times slower: smaller blocks keep a pause short.
    let largest = kernel == .swift ? 1 << 10 : Self.largestBlock
    var block = UInt32(HashPuzzle.sketchCount)
    var next: UInt32 = 0
    search.high = UInt32(thread)
    let end = end.withLock { $0 }
    repeat {
      let count = min(block, UInt32.max - next)
      let (hits, tried) = search.run(
        kernel, from: next, count: count, threshold: sketch.threshold, into: &found)
      let nonces = found.prefix(hits).map { UInt64(search.high) << 32 | UInt64($0) }
      for (value, nonce) in zip(search.values(of: nonces, kernel), nonces) {
        sketch.insert(value, nonce: nonce)
      }
      control.add(UInt64(tried))
      next += tried
      // As many again: about a sketch's worth of candidates in each block.
      block = min(largest, block * 2)
      if next == .max {
        search.high += UInt32(threads)
        next = 0
      }
    } while control.pass() && (ContinuousClock.now < end || next < HashPuzzle.sketchCount)
    merged.withLock { $0.merge(sketch) }
  }

  func finish() -> Solution {
    .complete(.sketch(merged.withLock { $0.entries.map(\.nonce) }))
  }
}
