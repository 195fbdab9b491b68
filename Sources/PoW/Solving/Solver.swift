internal import Dispatch
public import IorunCore
internal import Synchronization

/// Solves one challenge with several threads, by Dispatch. Can be held, resumed and cancelled from
/// any thread; threads notice between two blocks, within milliseconds.
public final class Solver: Sendable {
  /// How far it is.
  public struct Progress: Hashable, Codable, Sendable {
    /// Hashes, steps or multiplications done.
    public var done: UInt64
    /// How many there are in all; `nil` where time decides.
    public var total: UInt64?
  }

  private let work: any PuzzleWork
  private let threads: Int
  private let control = WorkControl()

  /// Makes a solver.
  ///
  /// - Parameters:
  ///   - challenge: what to solve.
  ///   - threads: how many cores to take: 1 to 512, and the nearest of these for anything else.
  ///   - memory: bytes that the solver may take.
  ///   - table: for a memory puzzle, the table of an earlier round of the epoch, if there is one.
  ///   - kernel: the variant of the inner loops; the fastest by default.
  ///   - gpu: the GPU that does `gpu.mm` and `gpu.mem`; `nil` for the CPU, which gives the same
  ///     answers.
  ///   - gpuTable: for `gpu.mem` on that GPU, the table of an earlier round of the epoch.
  /// - Throws: `noMemoryForProof` where the puzzle needs more memory than it may take, or than the
  ///   GPU has free; `gpuFault`.
  public init(
    _ challenge: Challenge, threads: Int, memory: Int = 1 << 30, table: LabelTable? = nil,
    kernel: Kernel? = nil, gpu: GPUDevice? = nil, gpuTable: GPULabelTable? = nil
  ) throws {
    self.threads = max(1, min(threads, 512))
    let needed =
      gpu == nil ? challenge.puzzle.memoryByteCount : challenge.puzzle.hostByteCountWithGPU
    guard needed <= memory else {
      throw IorunError(
        .noMemoryForProof,
        "the puzzle takes \(Bytes(UInt64(needed))) of memory, "
          + "\(Bytes(UInt64(max(0, memory)))) are allowed",
        remedy: "Claim less memory, or allow more")
    }
    work =
      switch (challenge.puzzle, gpu) {
      case (.hash(let puzzle), _):
        HashWork(challenge, puzzle, kernel: kernel ?? .fastestHash)
      case (.lane(let puzzle), _): LaneWork(challenge, puzzle, kernel: kernel ?? .fastestChain)
      case (.memory(let puzzle), _), (.gpuMemory(let puzzle), nil):
        try MemoryWork(challenge, puzzle, table: table, kernel: kernel ?? .fastestChain)
      case (.product(let puzzle), nil):
        try ProductWork(challenge, puzzle, kernel: kernel ?? .fastestProduct)
      case (.product(let puzzle), let gpu?): try GPUProductWork(challenge, puzzle, on: gpu)
      case (.gpuMemory(let puzzle), let gpu?):
        try GPUMemoryWork(challenge, puzzle, on: gpu, table: gpuTable)
      }
  }

  /// Makes a solver that fills a table and does no more; `solve()` gives it as the `table` of a
  /// commitment without roots.
  ///
  /// - Parameters:
  ///   - order: the labels.
  ///   - threads: how many cores to take: 1 to 512, and the nearest of these for anything else.
  ///   - memory: bytes that the table may take.
  ///   - hasRoom: asked on any thread after every 64 MiB: false ends the work with
  ///     `noMemoryForProof`, before the system ends somebody's process.
  /// - Throws: `noMemoryForProof` where the table is larger than `memory`, or cannot be had.
  public convenience init(
    filling order: TableOrder, threads: Int, memory: Int, kernel: Kernel? = nil,
    hasRoom: @escaping @Sendable () -> Bool = { true }
  ) throws {
    guard order.byteCount <= memory else {
      throw IorunError(
        .noMemoryForProof,
        "the table takes \(Bytes(UInt64(order.byteCount))) of memory, "
          + "\(Bytes(UInt64(max(0, memory)))) are allowed",
        remedy: "Free some memory, or offer less")
    }
    self.init(
      try TableWork(
        seed: order.seed, labels: order.labels, labelSteps: order.labelSteps,
        kernel: kernel ?? .fastestChain, hasRoom: hasRoom), threads: threads)
  }

  /// Makes a solver that fills a GPU's memory, and does no more: the `gpuTable` of a commitment without
  /// roots. Throws `noMemoryForProof`.
  public convenience init(filling order: TableOrder, on gpu: GPUDevice) throws {
    self.init(try GPUTableWork(order, on: gpu), threads: 1)
  }

  /// Makes a solver of work that is there already.
  init(_ work: any PuzzleWork, threads: Int) {
    self.work = work
    self.threads = max(1, min(threads, 512))
  }

  /// Holds the threads; returns at once. They stand still when ``isIdle``.
  public func pause() { control.pause() }
  /// Lets held threads go on.
  public func resume() { control.resume() }
  /// Makes ``solve()`` throw `cancelled` soon. Once cancelled, a solver stays so.
  public func cancel() { control.cancel() }
  /// True while no thread computes.
  public var isIdle: Bool { control.isIdle }
  /// True between ``pause()`` and ``resume()``.
  public var isHeld: Bool { control.isHeld }
  /// How far it is.
  public var progress: Progress { Progress(done: control.total, total: work.total) }

  /// Does the work. Cancelling the task cancels it. Throws `cancelled`.
  public func solve() async throws -> Solution {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation {
        (continuation: CheckedContinuation<Solution, any Error>) in
        // Serial queues: those get threads beyond the number of cores. On Linux `concurrentPerform`
        // takes the very threads on which Swift runs its tasks, and work of minutes would stop every
        // actor of the process.
        DispatchQueue(label: "iorun.pow.solver", qos: .utility).async { [self] in
          continuation.resume(with: Result { try run() })
        }
      }
    } onCancel: {
      cancel()
    }
  }

  private func run() throws -> Solution {
    let queues = (0..<threads).map { DispatchQueue(label: "iorun.pow.\($0)", qos: .utility) }
    let failure = Mutex<(any Error)?>(nil)
    for phase in 0..<work.phases where !control.isCancelled {
      try work.begin(phase: phase)
      let group = DispatchGroup()
      for (thread, queue) in queues.enumerated() {
        queue.async(group: group) { [self] in
          do {
            try control.thread {
              if control.pass() {
                try work.run(phase: phase, thread: thread, of: threads, control)
              }
            }
          } catch {
            failure.withLock { $0 = $0 ?? error }
            control.cancel()
          }
        }
      }
      group.wait()
    }
    if let error = failure.withLock({ $0 }) { throw error }
    if control.isCancelled {
      throw IorunError(.cancelled, "the work on a proof was stopped")
    }
    return try work.finish()
  }
}

/// The work of one puzzle: phases one after the other, each on all threads.
protocol PuzzleWork: Sendable {
  var phases: Int { get }
  var total: UInt64? { get }
  /// Before a phase, on one thread, while no other runs.
  func begin(phase: Int) throws
  /// One thread's part of a phase. Calls `control.pass()` every few milliseconds.
  func run(phase: Int, thread: Int, of threads: Int, _ control: WorkControl) throws
  /// After all phases.
  func finish() throws -> Solution
}

/// What a solver has at the end.
public enum Solution: Sendable {
  /// The whole answer.
  case complete(Answer)
  /// Work to commit to, and to open.
  case committed(CommittedWork)
}

/// Work that is done: its roots, and the means to open pieces of it.
public struct CommittedWork: Sendable {
  /// A root for each lane, core or layer.
  public let roots: [Digest]
  /// A memory puzzle's table, for the next round.
  public let table: LabelTable?
  /// The same on a GPU.
  public let gpuTable: GPULabelTable?
  private let open: @Sendable (_ root: Int, _ index: Int) -> OpenedPiece

  init(
    roots: [Digest], table: LabelTable? = nil, gpuTable: GPULabelTable? = nil,
    open: @escaping @Sendable (_ root: Int, _ index: Int) -> OpenedPiece
  ) {
    self.roots = roots
    self.table = table
    self.gpuTable = gpuTable
    self.open = open
  }

  /// One piece, with the way to its root.
  func piece(root: Int, index: Int) -> OpenedPiece { open(root, index) }

  /// The answer that opens what was asked for.
  public func answer(to request: OpeningRequest) -> Answer {
    .opened(roots: roots, pieces: request.places.map { open($0.root, $0.index) })
  }
}
