internal import IorunCore
internal import Synchronization

/// Fills a table with its labels.
final class TableWork: PuzzleWork {
  /// Steps of labels between two looks at the control: about a millisecond.
  private static let blockSteps = 1 << 15
  /// Bytes between two looks at the machine's memory.
  private static let roomBytes = 64 << 20

  let table: LabelTable
  private let labelSteps: Int
  private let kernel: Kernel
  private let hasRoom: @Sendable () -> Bool
  private let next = Atomic<Int>(0)

  /// Throws `noMemoryForProof`.
  init(
    seed: Digest, labels: Int, labelSteps: Int, kernel: Kernel,
    hasRoom: @escaping @Sendable () -> Bool = { true }
  ) throws {
    table = try LabelTable(seed: seed, count: labels)
    self.labelSteps = labelSteps
    self.kernel = kernel
    self.hasRoom = hasRoom
  }

  let phases = 1

  var total: UInt64? { UInt64(table.count * labelSteps) }

  func begin(phase: Int) {}

  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) throws {
    let chain = Chain(seed: table.seed.bytes, kernel: kernel)
    // A multiple of three: the kernels interleave so many.
    let block = 3 * max(1, Self.blockSteps / 3 / labelSteps)
    let stretch = Self.roomBytes / 32
    while control.pass() {
      let first = next.wrappingAdd(block, ordering: .relaxed).oldValue
      guard first < table.count else { return }
      if first % stretch < block, !hasRoom() {
        throw IorunError(
          .noMemoryForProof,
          "only \(Bytes(UInt64(32 * first))) of \(Bytes(UInt64(32 * table.count))) of labels fit in "
            + "what the machine has free",
          remedy: "Free some memory, or offer less")
      }
      let count = min(block, table.count - first)
      chain.fill(
        table.base + 8 * first, first: UInt64(first), count: count, steps: UInt32(labelSteps))
      control.add(UInt64(count * labelSteps))
    }
  }

  func finish() -> Solution {
    .committed(
      CommittedWork(roots: [], table: table) { OpenedPiece(root: $0, index: $1, paths: []) })
  }
}
