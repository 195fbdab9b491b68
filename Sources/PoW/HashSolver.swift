internal import Dispatch
internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// Seeks the nonce of a ``HashChallenge`` with several threads, by Dispatch. Can be told to stop
/// from any thread, which it does within one block of nonces (a few milliseconds).
public final class HashSolver: Sendable {
  /// How many nonces a thread tries before it looks whether it should stop.
  static let blockSize: UInt64 = 4096

  private let challenge: HashChallenge
  private let threads: Int
  private let isCancelled = Atomic(false)

  /// Makes a solver for one challenge.
  ///
  /// - Parameters:
  ///   - challenge: what to solve.
  ///   - threads: how many cores to take: 1 to 128, and the nearest of these for anything else.
  public init(_ challenge: HashChallenge, threads: Int) {
    self.challenge = challenge
    self.threads = max(1, min(threads, 128))
  }

  /// Makes ``solution(from:)`` throw `cancelled` soon. Once cancelled, a solver stays so.
  public func cancel() { isCancelled.store(true, ordering: .relaxed) }

  /// Seeks until a nonce is found: 2^difficulty hashes on average. Cancelling the task cancels the
  /// search. Throws `cancelled`.
  ///
  /// - Parameter start: the first nonce to try; a random one makes repeated searches independent.
  public func solution(from start: UInt64 = 0) async throws -> HashSolution {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation {
        (continuation: CheckedContinuation<HashSolution, any Error>) in
        let progress = SearchProgress()
        let began = ContinuousClock.now
        let group = DispatchGroup()
        // A serial queue a thread: those get threads beyond the number of cores. On Linux
        // `concurrentPerform` takes the very threads on which Swift runs its tasks, and a search
        // of hours would stop every actor of the process.
        for index in 0..<threads {
          DispatchQueue(label: "iorun.pow.\(index)", qos: .utility).async(group: group) { [self] in
            search(from: start, progress)
          }
        }
        group.notify(queue: DispatchQueue(label: "iorun.pow.done")) {
          let seconds = (ContinuousClock.now - began) / .seconds(1)
          continuation.resume(with: Result { try progress.solution(seconds: seconds) })
        }
      }
    } onCancel: {
      cancel()
    }
  }

  private func search(from start: UInt64, _ progress: SearchProgress) {
    var search = BlockSearch(prefix: challenge.prefix, difficulty: challenge.difficulty)
    while !progress.isDone.load(ordering: .relaxed), !isCancelled.load(ordering: .relaxed) {
      let block = progress.nextBlock.wrappingAdd(1, ordering: .relaxed).oldValue
      let (nonce, tried) = search.run(from: start &+ block &* Self.blockSize, count: Self.blockSize)
      progress.hashes.wrappingAdd(tried, ordering: .relaxed)
      if let nonce { progress.finish(nonce) }
    }
  }
}

/// What the threads of one search share.
private final class SearchProgress: Sendable {
  let nextBlock = Atomic<UInt64>(0)
  let hashes = Atomic<UInt64>(0)
  let isDone = Atomic(false)
  private let found = Mutex<UInt64?>(nil)

  func finish(_ nonce: UInt64) {
    found.withLock { $0 = $0 ?? nonce }
    isDone.store(true, ordering: .relaxed)
  }

  func solution(seconds: Double) throws -> HashSolution {
    guard let nonce = found.withLock({ $0 }) else {
      throw IorunError(.cancelled, "the search for a proof was stopped")
    }
    return HashSolution(nonce: nonce, hashes: hashes.load(ordering: .relaxed), seconds: seconds)
  }
}

/// The inner loop of one thread: no allocation, no lock.
private struct BlockSearch: ~Copyable {
  private var hasher = SHA256.Hasher()
  private var message: [UInt8]
  private var output = [UInt8](repeating: 0, count: Digest.byteCount)
  private let nonceOffset: Int
  private let difficulty: HashDifficulty

  init(prefix: [UInt8], difficulty: HashDifficulty) {
    message = prefix + [UInt8](repeating: 0, count: 8)
    nonceOffset = prefix.count
    self.difficulty = difficulty
  }

  mutating func run(from first: UInt64, count: UInt64) -> (nonce: UInt64?, tried: UInt64) {
    for step in 0..<count {
      let nonce = first &+ step
      message.withUnsafeMutableBytes {
        $0.storeBytes(of: nonce.bigEndian, toByteOffset: nonceOffset, as: UInt64.self)
      }
      hasher.update(message)
      let head = output.withUnsafeMutableBytes { buffer in
        hasher.finalize(into: buffer)
        return UInt64(bigEndian: buffer.loadUnaligned(as: UInt64.self))
      }
      if difficulty.isMet(by: head) { return (nonce, step + 1) }
    }
    return (nil, count)
  }
}
