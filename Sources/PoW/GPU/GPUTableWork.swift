internal import CPoW
internal import IorunCore

extension GPULabelTable {
  /// Labels between two looks at the control: so many that a large GPU is full.
  private static let block = 1 << 19

  /// Makes all labels, of `labelSteps` steps each. Throws `gpuFault`.
  func fill(labelSteps: Int, _ control: WorkControl) throws {
    let gpu = memory.device
    let key = Words.words(seed.bytes.prefix(16)).map { UInt64($0) }
    for first in stride(from: 0, to: count, by: Self.block) {
      guard control.pass() else { return }
      let block = min(Self.block, count - first)
      try gpu.start(
        IORUN_GPU_FILL, count: block,
        key + [UInt64(first), UInt64(block), UInt64(labelSteps), memory.address])
      try gpu.wait()
      control.add(UInt64(block * labelSteps))
    }
  }
}

/// Fills a GPU's memory with labels, and does no more: only the walks over them are timed.
final class GPUTableWork: PuzzleWork {
  let table: GPULabelTable
  private let labelSteps: Int

  /// Takes the GPU's memory. Throws `noMemoryForProof`.
  init(_ order: TableOrder, on gpu: GPUDevice) throws {
    table = try GPULabelTable(seed: order.seed, count: order.labels, on: gpu)
    labelSteps = order.labelSteps
  }

  let phases = 1
  var total: UInt64? { UInt64(table.count * labelSteps) }

  func begin(phase: Int) {}

  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) throws {
    if thread == 0 { try table.fill(labelSteps: labelSteps, control) }
  }

  func finish() -> Solution {
    .committed(
      CommittedWork(roots: [], gpuTable: table) { OpenedPiece(root: $0, index: $1, paths: []) })
  }
}
